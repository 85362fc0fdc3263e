//! A DNS client for tests: one question, one answer, over UDP.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use rollcall::wire::message::{Message, RData, RecordType, ResponseCode, decode};

/// Asks one server.
pub(crate) struct Client {
    socket: UdpSocket,
    id: u16,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { socket, id: 0 }
    }

    pub(crate) fn ask(&mut self, name: &str, qtype: RecordType) -> Message {
        self.id = self.id.wrapping_add(1);
        let mut query = self.id.to_be_bytes().to_vec();
        // RD; one question; one additional record, an OPT for 4,096 octets.
        query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for label in name.trim_end_matches('.').split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend_from_slice(label.as_bytes());
        }
        query.push(0);
        query.extend_from_slice(&u16::from(qtype).to_be_bytes());
        query.extend_from_slice(&[0, 1]);
        query.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        self.socket.send(&query).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let len =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no answer to {name} {qtype}: {error}"));
            let answer = decode(&buffer[..len]).unwrap();
            if answer.metadata.id == self.id {
                return answer;
            }
        }
    }

    /// Whether a name exists.
    pub(crate) fn exists(&mut self, name: &str) -> bool {
        match self.ask(name, RecordType::A).metadata.response_code {
            ResponseCode::NoError => true,
            ResponseCode::NXDomain => false,
            other => panic!("{name}: {other}"),
        }
    }

    /// The addresses of a name; none where it does not exist.
    pub(crate) fn addresses(&mut self, name: &str) -> BTreeSet<IpAddr> {
        let answer = self.ask(name, RecordType::A);
        let address = |data: &RData| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        };
        answer.answers.iter().filter_map(|record| address(&record.data)).collect()
    }

    /// The targets of a name's SRV records. Each must come with an address beside it.
    pub(crate) fn peers(&mut self, name: &str) -> BTreeSet<String> {
        let answer = self.ask(name, RecordType::SRV);
        let target = |data: &RData| match data {
            RData::SRV(srv) => Some(srv.target.to_ascii()),
            _ => None,
        };
        let peers: BTreeSet<String> = answer.answers.iter().filter_map(|record| target(&record.data)).collect();
        let glue: BTreeSet<String> = answer.additionals.iter().map(|record| record.name.to_ascii()).collect();
        assert!(peers.is_subset(&glue), "SRV of {name} names {peers:?}, with addresses for {glue:?}");
        peers
    }

    /// What an address points to.
    pub(crate) fn pointers(&mut self, address: IpAddr) -> BTreeSet<String> {
        let IpAddr::V4(address) = address else { panic!("{address} is not IPv4") };
        let [a, b, c, d] = address.octets();
        let answer = self.ask(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"), RecordType::PTR);
        let name = |data: &RData| match data {
            RData::PTR(name) => Some(name.0.to_ascii()),
            _ => None,
        };
        answer.answers.iter().filter_map(|record| name(&record.data)).collect()
    }
}
