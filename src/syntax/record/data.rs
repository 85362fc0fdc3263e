//! The data of a record, read field by field as its type says.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::fields::{Digits, RdataReader};
use super::types::{FieldFormat, layout};
use super::words::ZoneWord;
use super::{parameters, special};
use crate::wire::Rtype;
use crate::wire::message::{MessageName, RData};

/// Reads the data of a record; the line in an error is that of the word at fault.
pub(super) fn data(rtype: Rtype, words: &[ZoneWord], origin: &MessageName) -> Result<RData, (u32, String)> {
    let mut fields = RdataReader::new(words, origin);
    let read = match words {
        [first, ..] if first.octets == b"\\#" && !first.quoted => fields.generic(),
        _ => match layout(rtype) {
            Some(layout) => layout.iter().try_for_each(|field| read(&mut fields, *field)),
            None => Err("its data can be written as `\\# LENGTH HEXADECIMAL` only".into()),
        },
    };
    let line = fields.line;
    read.and_then(|()| fields.finish(rtype)).map_err(|why| (line, why))
}

fn read(fields: &mut RdataReader<'_>, field: FieldFormat) -> Result<(), String> {
    match field {
        FieldFormat::Number8 => fields.number::<u8>("a number from 0 to 255").map(|number| fields.out.push(number)),
        FieldFormat::Number16 => {
            fields.number::<u16>("a number from 0 to 65535").map(|number| fields.put(&number.to_be_bytes()))
        }
        FieldFormat::Number32 => {
            fields.number::<u32>("a number from 0 to 4294967295").map(|it| fields.put(&it.to_be_bytes()))
        }
        FieldFormat::Number64 => {
            fields.number::<u64>("a number of 64 bits").map(|number| fields.put(&number.to_be_bytes()))
        }
        FieldFormat::Seconds => fields.seconds().map(|seconds| fields.put(&seconds.to_be_bytes())),
        FieldFormat::V4 => fields.number::<Ipv4Addr>("an IPv4 address").map(|address| fields.put(&address.octets())),
        FieldFormat::V6 => fields.number::<Ipv6Addr>("an IPv6 address").map(|address| fields.put(&address.octets())),
        FieldFormat::Name => fields.name(),
        FieldFormat::Text => {
            let octets = fields.text("text")?;
            fields.counted(&octets)
        }
        FieldFormat::Texts => fields.texts(),
        FieldFormat::Long => {
            let octets = fields.text("text")?;
            fields.out.extend_from_slice(&octets);
            Ok(())
        }
        FieldFormat::Tag => {
            let word = fields.next("a tag")?;
            match word.octets.iter().all(u8::is_ascii_alphanumeric) && !word.octets.is_empty() {
                true => fields.counted(&word.octets),
                false => Err(format!("`{}` is not a tag of letters and digits", word.text())),
            }
        }
        FieldFormat::Hex => fields.rest("hexadecimal digits", Digits::Hex, false),
        FieldFormat::Base64 => fields.rest("octets in base 64", Digits::Base64, false),
        FieldFormat::Key => fields.rest("octets in base 64", Digits::Base64, true),
        FieldFormat::Type => {
            let word = fields.next("a type")?;
            let rtype = Rtype::from_name(&word.text());
            let rtype = rtype.ok_or_else(|| format!("`{}` is no record type", word.text()))?;
            fields.put(&rtype.to_be_bytes());
            Ok(())
        }
        FieldFormat::Types => fields.types(),
        FieldFormat::Algorithm => {
            fields.named("an algorithm", special::ALGORITHMS).map(|number| fields.out.push(number))
        }
        FieldFormat::Digest => fields.named("a kind of digest", special::DIGESTS).map(|number| fields.out.push(number)),
        FieldFormat::Scheme => fields.named("a scheme", special::SCHEMES).map(|number| fields.out.push(number)),
        FieldFormat::Certificate => {
            let number: u16 = fields.named("a kind of certificate", special::CERTIFICATES)?;
            fields.put(&number.to_be_bytes());
            Ok(())
        }
        FieldFormat::Time => special::time(fields),
        FieldFormat::Salt => {
            let word = fields.next("a salt")?;
            let salt = if word.octets == b"-" { Some(Vec::new()) } else { Digits::Hex.decode(&word.octets) };
            fields.counted(&salt.ok_or_else(|| format!("`{}` is no salt", word.text()))?)
        }
        FieldFormat::Hash => {
            let word = fields.next("a hash")?;
            let hash = Digits::Base32.decode(&word.octets).filter(|hash| !hash.is_empty());
            fields.counted(&hash.ok_or_else(|| format!("`{}` is no hash in base 32", word.text()))?)
        }
        FieldFormat::Eui(length) => special::dashed(fields, usize::from(length)),
        FieldFormat::Groups => special::groups(fields),
        FieldFormat::Parameters => parameters::read(fields),
        FieldFormat::Location => special::location(fields),
        FieldFormat::Prefixes => special::prefixes(fields),
        FieldFormat::Gateway => special::gateway(fields),
        FieldFormat::Relay => special::relay(fields),
        FieldFormat::HostIdentity => special::host_identity(fields),
        FieldFormat::HostInfo => special::host_info(fields),
        FieldFormat::Isdn => {
            read(fields, FieldFormat::Text)?;
            if fields.is_empty() { Ok(()) } else { read(fields, FieldFormat::Text) }
        }
        FieldFormat::Nsap => special::nsap(fields),
    }
}
