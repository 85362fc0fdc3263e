//! EDNS(0): the OPT record of a query, and of its answer (RFC 6891).

/// The content of a query's OPT record.
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

/// The server's own part of an OPT record: what it says of itself in answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEdns {
    /// The UDP payload size that the server takes; with `bufsize` also what it sends at most.
    pub payload: u16,
    /// The server's identifier (`nsid`), sent to those who ask for it (RFC 5001); over 200 octets it is left out.
    pub nsid: Option<Box<[u8]>>,
}

impl OwnEdns {
    /// 1232 octets, which no path fragments, and no identifier.
    pub const DEFAULT: &'static Self = &Self { payload: 1232, nsid: None };

    /// The octets that the OPT record of the answer to `query` takes; none when the query had no OPT.
    pub fn len(&self, query: Option<Edns>) -> usize {
        query.map_or(0, |query| 11 + self.nsid_for(query).map_or(0, |nsid| 4 + nsid.len()))
    }

    /// Whether the answer to `query` has no OPT record.
    pub fn is_empty(&self, query: Option<Edns>) -> bool {
        query.is_none()
    }

    /// The identifier, when the client asked for it.
    pub(super) fn nsid_for(&self, query: Edns) -> Option<&[u8]> {
        // The longest question and this leave room in 512 octets.
        self.nsid.as_deref().filter(|nsid| query.nsid && nsid.len() <= 200)
    }
}

impl Default for OwnEdns {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}

/// The size limit over UDP: what the client advertised, at least 512 and at most `bufsize`, where there is one,
/// or what a datagram holds; 512 without EDNS (RFC 6891 sections 6.2.3 and 6.2.5).
pub fn udp_limit(query: Option<Edns>, bufsize: Option<u16>) -> usize {
    let most = bufsize.unwrap_or(MOST_UDP).clamp(512, MOST_UDP);
    query.map_or(512, |query| usize::from(query.payload.clamp(512, most)))
}

/// The octets that a datagram of IPv4 holds: 65,535 less its two headers.
pub const MOST_UDP: u16 = 65_507;

#[cfg(test)]
mod tests {
    use super::*;

    fn advertised(payload: u16) -> Option<Edns> {
        Some(Edns { payload, version: 0, dnssec_ok: false, nsid: false })
    }

    #[test]
    fn an_answer_over_udp_is_as_large_as_both_sides_allow() {
        for (payload, bufsize, limit) in [
            (None, Some(1232), 512),
            (None, None, 512),
            (Some(0), Some(1232), 512),
            (Some(511), Some(1232), 512),
            (Some(900), Some(1232), 900),
            (Some(4096), Some(1232), 1232),
            (Some(65_535), Some(4096), 4096),
            (Some(4096), Some(0), 512),
            (Some(4096), None, 4096),
            (Some(8192), None, 8192),
            (Some(65_535), None, 65_507),
        ] {
            assert_eq!(udp_limit(payload.and_then(advertised), bufsize), limit, "{payload:?} {bufsize:?}");
        }
    }

    #[test]
    fn the_identifier_is_for_those_who_ask() {
        let own = OwnEdns { payload: 1232, nsid: Some(b"node-1".as_slice().into()) };
        assert_eq!(own.len(None), 0);
        assert_eq!(own.len(advertised(512)), 11);
        assert_eq!(own.len(advertised(512).map(|query| Edns { nsid: true, ..query })), 11 + 4 + 6);
        assert_eq!(OwnEdns::DEFAULT.len(advertised(512).map(|query| Edns { nsid: true, ..query })), 11);
    }
}
