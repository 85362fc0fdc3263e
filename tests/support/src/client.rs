//! A DNS client: one question, one answer.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use socket2::{Domain, Socket, Type};

use crate::queries::{query, receive, send, with_edns};
use crate::wait::{PATIENCE, wait_for};

/// How long an answer is waited for by those who ask again.
const AGAIN: Duration = Duration::from_secs(10);

/// Asks one server, from one address.
pub struct Client {
    client: IpAddr,
    server: SocketAddr,
    patience: Duration,
    socket: UdpSocket,
    id: u16,
}

impl Client {
    /// A client of 127.0.0.1.
    pub fn new(server: SocketAddr) -> Self {
        Self::between(IpAddr::from([127, 0, 0, 1]), server)
    }

    /// A client of some address of this machine.
    pub fn between(client: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((client, 0)).unwrap();
        // Connected, so that a closed port is told at once.
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { client, server, patience: PATIENCE, socket, id: 0 }
    }

    /// How long an answer is waited for from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        self.patience = patience;
    }

    /// An id that no query of this client had lately.
    pub fn next_id(&mut self) -> u16 {
        self.id = self.id.wrapping_add(1);
        self.id
    }

    /// Sends octets as they are, and waits for an answer with their id.
    ///
    /// # Errors
    /// That nothing came back in time, or that the port is closed.
    pub fn send(&self, query: &[u8], tcp: bool) -> io::Result<Vec<u8>> {
        if tcp { self.by_tcp(query) } else { self.by_udp(query) }
    }

    fn by_udp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        self.socket.send(query)?;
        let mut buffer = vec![0; 65_535];
        loop {
            let len = self.socket.recv(&mut buffer)?;
            if buffer[..2] == query[..2] {
                buffer.truncate(len);
                return Ok(buffer);
            }
        }
    }

    fn by_tcp(&self, query: &[u8]) -> io::Result<Vec<u8>> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(self.client, 0).into())?;
        socket.connect(&self.server.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(self.patience))?;
        send(&mut stream, query)?;
        receive(&mut stream)
    }

    /// Asks over UDP, with EDNS of 4,096 octets.
    pub fn ask(&mut self, name: &str, qtype: RecordType) -> Message {
        let query = with_edns(query(self.next_id(), name, qtype), 4096, false);
        let answer = self.send(&query, false).unwrap_or_else(|error| panic!("no answer to {name} {qtype}: {error}"));
        Message::from_vec(&answer).unwrap()
    }

    /// Whether a name exists.
    pub fn exists(&mut self, name: &str) -> bool {
        match self.ask(name, RecordType::A).metadata.response_code {
            ResponseCode::NoError => true,
            ResponseCode::NXDomain => false,
            other => panic!("{name}: {other}"),
        }
    }

    /// The addresses of a name; none where it does not exist.
    pub fn addresses(&mut self, name: &str) -> BTreeSet<IpAddr> {
        addresses(&self.ask(name, RecordType::A)).collect()
    }

    /// The targets of a name's SRV records. Each must come with an address beside it.
    pub fn peers(&mut self, name: &str) -> BTreeSet<String> {
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

    /// The names that an address points to.
    pub fn pointers(&mut self, address: IpAddr) -> BTreeSet<String> {
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

/// The IPv4 addresses of an answer.
pub fn addresses(answer: &Message) -> impl Iterator<Item = IpAddr> + '_ {
    answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        _ => None,
    })
}

//----------- One question ------------------------------------------------------

/// Asks over UDP without EDNS; none where no message comes back.
pub fn try_ask(server: SocketAddr, name: &str, qtype: RecordType) -> Option<Message> {
    let mut client = Client::new(server);
    client.set_patience(AGAIN);
    Message::from_vec(&client.send(&query(7, name, qtype), false).ok()?).ok()
}

/// The same at a port of 127.0.0.1.
pub fn ask(port: u16, name: &str, qtype: RecordType) -> Option<Message> {
    try_ask(SocketAddr::from(([127, 0, 0, 1], port)), name, qtype)
}

/// Waits for the first answer.
pub fn answer(port: u16, name: &str, qtype: RecordType) -> Message {
    let mut answer = None;
    wait_for(
        || {
            answer = ask(port, name, qtype);
            answer.is_some()
        },
        || format!("an answer to {name} {qtype}"),
    );
    answer.unwrap()
}
