//! EDNS(0): the OPT record of a query (RFC 6891).

/// What the OPT record of a query says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The UDP payload size that the client can take, as advertised.
    pub payload: u16,
    /// The version: anything but 0 is answered with BADVERS.
    pub version: u8,
    /// DO: DNSSEC records are welcome (RFC 3225).
    pub dnssec_ok: bool,
    /// The client asks for the server's identifier (RFC 5001).
    pub nsid: bool,
}
