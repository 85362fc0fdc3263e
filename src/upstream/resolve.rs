//! The addresses of an upstream that is written as a name: asked for once, at the start.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::octets::{Matches, Sent};
use crate::wire::{Class, Flags, Name, Rcode, Records, Rtype, bare_message};

const TIMEOUT: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;

/// Asks resolvers for the addresses of a name, one after another, waiting for each. Meant for the start of a server block, where
/// there is nothing else to do.
///
/// # Errors
/// When none of them knows an address; says what the last one said.
pub fn resolve(name: &Name, resolvers: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
    let mut found = Vec::new();
    let mut said = "there is no resolver to ask".to_owned();
    for qtype in [Rtype::A, Rtype::AAAA] {
        'rounds: for _ in 0..ROUNDS {
            for &to in resolvers {
                match ask(name, qtype, to) {
                    Ok(addresses) => {
                        if addresses.is_empty() {
                            said = format!("{to} knows no address of it");
                        }
                        found.extend(addresses);
                        break 'rounds;
                    }
                    Err(error) => said = format!("{to}: {error}"),
                }
            }
        }
    }
    if found.is_empty() { Err(said) } else { Ok(found) }
}

fn ask(name: &Name, qtype: Rtype, to: SocketAddr) -> Result<Vec<IpAddr>, String> {
    let query = bare_message(0, Flags::RD, name.as_wire(), qtype, Class::IN);
    let sent = Sent::new(&query, rand::random(), None).ok_or("the name cannot be asked for")?;
    let here: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(here).map_err(|error| error.to_string())?;
    socket.connect(to).map_err(|error| error.to_string())?;
    socket.send(&sent.octets).map_err(|error| error.to_string())?;
    let until = Instant::now() + TIMEOUT;
    let mut buffer = vec![0; 65_535];
    loop {
        let left =
            until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()).ok_or("no answer in time")?;
        socket.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.to_string()),
        };
        let reply = buffer.get(..len).unwrap_or_default();
        if !matches!(sent.compare(reply), Matches::Yes | Matches::Trailing(_)) {
            continue;
        }
        let rcode = Rcode::of(reply);
        if !matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
            return Err(format!("it answered with {rcode}"));
        }
        let records = Records::new(reply).map_err(|_| "its answer is malformed")?;
        return Ok(records
            .flatten()
            .filter(|record| record.section == 0 && record.rtype == qtype)
            .filter_map(|record| {
                let data = reply.get(record.rdata..record.end)?;
                let v4 = <[u8; 4]>::try_from(data).map(IpAddr::from);
                v4.or_else(|_| <[u8; 16]>::try_from(data).map(IpAddr::from)).ok()
            })
            .collect());
    }
}
