//! The data of a record from its octets.

use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use crate::wire::{Failure, Rcode};

/// Takes the octets of a record's data, names uncompressed. The types whose inside somebody looks at are taken apart; of
/// all others the octets leave as they are (RFC 3597 section 3), whatever is known of the type.
///
/// # Errors
/// When the octets are no data of such a type.
pub fn rdata_from(rtype: RecordType, octets: Vec<u8>) -> Result<RData, Failure> {
    use RecordType::{A, AAAA, CNAME, HINFO, MX, NS, PTR, SOA, SRV, TXT};
    if !matches!(rtype, A | AAAA | CNAME | HINFO | MX | NS | PTR | SOA | SRV | TXT) {
        // Data may be empty, which `NULL::with` takes for a mistake.
        let mut rdata = NULL::new();
        rdata.anything = octets;
        return Ok(RData::Unknown { code: rtype, rdata });
    }
    let length = u16::try_from(octets.len()).ok();
    let read = length.map(|length| RData::read(&mut BinDecoder::new(&octets), rtype, Restrict::new(length)));
    match read {
        Some(Ok(data)) => Ok(data),
        _ => Err(Failure {
            rcode: Rcode::SERVFAIL,
            extended: None,
            message: format!("{} octets are no data of type {rtype}", octets.len()),
        }),
    }
}
