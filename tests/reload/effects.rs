//! What a client or an operator sees of a server, each as one line of text.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollcall::wire::Rcode;
use rollcall::wire::message::{Message, RData, decode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::place::{Place, wait_for};

pub(crate) const A: u16 = 1;
pub(crate) const SOA: u16 = 6;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const ANY: u16 = 255;
const AXFR: u16 = 252;

/// How long an answer is waited for that may not come.
const MOMENT: Duration = Duration::from_secs(1);

/// A query with EDNS of 4,096 octets that asks for the server's identifier.
fn query(name: &str, qtype: u16, class: u16) -> Vec<u8> {
    let mut octets = super::resolver::query(7, name);
    let end = octets.len();
    octets[end - 4..].copy_from_slice(&[qtype.to_be_bytes(), class.to_be_bytes()].concat());
    octets[11] = 1;
    octets.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 4, 0, 3, 0, 0]);
    octets
}

fn exchange(to: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(MOMENT)).unwrap();
    socket.connect(to).unwrap();
    socket.send(query).ok()?;
    let mut buffer = vec![0; 65_535];
    let len = socket.recv(&mut buffer).ok()?;
    buffer.truncate(len);
    Some(buffer)
}

fn framed(octets: &[u8]) -> Vec<u8> {
    [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat()
}

fn read_frame(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).ok()?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut octets).ok()?;
    Some(octets)
}

/// A name that was not asked before.
fn fresh(zone: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("n{}.{zone}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn said(message: &Message) -> String {
    let data = message.answers.iter().map(|record| match &record.data {
        RData::SOA(soa) => soa.mname.to_ascii(),
        _ => record.data.to_string(),
    });
    let rcode = Rcode(u16::from(message.metadata.response_code));
    format!("{rcode} {}", data.collect::<Vec<_>>().join(", ")).trim_end().to_owned()
}

impl Place {
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()))
    }

    /// The octets of an answer over UDP; none for silence.
    pub(crate) fn ask(&self, name: &str, qtype: u16) -> Vec<u8> {
        exchange(self.address(), &query(name, qtype, 1)).unwrap_or_default()
    }

    fn message(&self, name: &str, qtype: u16) -> Option<Message> {
        decode(&self.ask(name, qtype)).ok()
    }

    /// The response code and the data of an answer.
    pub(crate) fn answer(&self, name: &str, qtype: u16) -> String {
        self.message(name, qtype).map_or_else(|| "silence".to_owned(), |message| said(&message))
    }

    /// The answer of class CH.
    pub(crate) fn chaos(&self, name: &str) -> String {
        let octets = exchange(self.address(), &query(name, TXT, 3)).unwrap_or_default();
        decode(&octets).map_or_else(|_| "silence".to_owned(), |message| said(&message))
    }

    /// The answer at another address of this machine.
    pub(crate) fn answer_at(&self, host: u8) -> String {
        let to = SocketAddr::from(([127, 0, 0, host], self.port()));
        let octets = exchange(to, &query("a.test", A, 1)).unwrap_or_default();
        decode(&octets).map_or_else(|_| "silence".to_owned(), |message| said(&message))
    }

    /// The TTL of the first answer record, or of the SOA where there is none.
    pub(crate) fn ttl(&self, name: &str, qtype: u16) -> String {
        let message = self.message(name, qtype);
        let records = message.iter().flat_map(|message| message.answers.iter().chain(&message.authorities));
        records.map(|record| record.ttl.to_string()).next().unwrap_or_default()
    }

    /// How many records the authority and additional sections have.
    pub(crate) fn beside(&self, name: &str) -> String {
        let message = self.message(name, A);
        message.map_or_else(|| "silence".to_owned(), |m| format!("{} and {}", m.authorities.len(), m.additionals.len()))
    }

    /// Which flags an answer has, of AA and TC.
    pub(crate) fn flags(&self, name: &str) -> String {
        let Some(message) = self.message(name, A) else { return "silence".to_owned() };
        let flags = [(message.metadata.authoritative, "AA"), (message.metadata.truncation, "TC")];
        flags.iter().filter_map(|(set, name)| set.then_some(*name)).collect::<Vec<_>>().join(" ")
    }

    /// The identifier of the server (RFC 5001).
    pub(crate) fn identifier(&self) -> String {
        let octets = self.ask("a.test", A);
        let at = octets.windows(3).rposition(|window| window == [0, 3, 0]);
        let text = at.and_then(|at| octets.get(at + 4..at + 4 + usize::from(*octets.get(at + 3)?)));
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }

    /// Whether addresses of a name come in one order or in several.
    pub(crate) fn orders(&self, name: &str) -> String {
        let first = self.answer(name, A);
        let differs = (0..40).any(|_| self.answer(name, A) != first);
        if differs { "several orders" } else { "one order" }.to_owned()
    }

    /// Whether a name that was just asked for is asked for upstream again.
    pub(crate) fn asked_upstream(&self) -> String {
        let name = fresh("cached.test");
        let (first, second) = (self.answer(&name, A), self.answer(&name, A));
        let asked = self.world.upstreams[0].asked.lock().unwrap();
        let count = asked.iter().filter(|one| super::resolver::name(&one.octets) == format!("{name}.")).count();
        if first == second { format!("{count}") } else { format!("{first}, then {second}") }
    }

    /// What the log says of a query, up to the query's name; nothing where it says nothing.
    pub(crate) fn logged(&self, zone: &str) -> String {
        let name = fresh(zone);
        self.ask(&name, A);
        let mut found = String::new();
        wait_for(MOMENT, || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(&name)).unwrap_or_default();
            found = line.split(&name).next().unwrap_or_default().to_owned();
            !found.is_empty()
        });
        found.split_once("] ").map_or(found.as_str(), |(_, rest)| rest).trim().to_owned()
    }

    /// The status of a path on the two pages' addresses; `-` where nothing listens.
    pub(crate) fn pages(&self, path: &str) -> String {
        let status = |nth: usize| self.page(nth, path).map_or_else(|| "-".to_owned(), |(status, _)| status);
        format!("{} {}", status(0), status(1))
    }

    fn page(&self, nth: usize, path: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.other_port(nth))).ok()?;
        stream.set_read_timeout(Some(MOMENT * 10)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.to_owned(), body.to_owned()))
    }

    /// Whether a connection that has asked once is closed soon.
    pub(crate) fn idle(&self) -> String {
        let asked = || {
            let mut stream = TcpStream::connect(self.address()).ok()?;
            stream.set_read_timeout(Some(MOMENT * 3)).unwrap();
            stream.write_all(&framed(&query("a.test", A, 1))).ok()?;
            read_frame(&mut stream)?;
            Some(stream)
        };
        let Some(mut stream) = asked() else { return "silence".to_owned() };
        match stream.read(&mut [0; 1]) {
            Ok(0) => "closed",
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => "closed",
            _ => "open",
        }
        .to_owned()
    }

    /// How many of five queries on one connection are answered.
    pub(crate) fn on_one_connection(&self) -> String {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return "closed".to_owned() };
        stream.set_read_timeout(Some(MOMENT * 10)).unwrap();
        let answered = (0..5).take_while(|_| {
            stream.write_all(&framed(&query("a.test", A, 1))).is_ok() && read_frame(&mut stream).is_some()
        });
        answered.count().to_string()
    }

    /// How many UDP sockets have the port.
    pub(crate) fn sockets(&self) -> String {
        let of = |file: &str| {
            let text = std::fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
            let end = format!(":{:04X}", self.port());
            text.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|own| own.ends_with(&end))).count()
        };
        (of("udp") + of("udp6")).to_string()
    }

    /// Which certificates the second port shows, `a` or `b`, and whether a client without one is answered.
    pub(crate) fn certificate(&self) -> String {
        let shown = ["a", "b"].into_iter().find(|name| self.over_tls(name).is_some());
        shown.unwrap_or("none").to_owned()
    }

    /// The answer over TLS to a client that trusts one certificate alone.
    fn over_tls(&self, trusted: &str) -> Option<Vec<u8>> {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(self.path(&format!("{trusted}.crt"))).unwrap();
        roots.add_parsable_certificates([CertificateDer::from_pem_slice(&pem).unwrap()]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.other_port(2))).ok()?;
        tcp.set_read_timeout(Some(MOMENT * 10)).unwrap();
        let name = ServerName::try_from("dns.example").unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp);
        stream.write_all(&framed(&query("a.test", A, 1))).ok()?;
        read_frame(&mut stream)
    }

    /// How a zone transfer begins.
    pub(crate) fn transfer(&self, zone: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return "closed".to_owned() };
        stream.set_read_timeout(Some(MOMENT * 10)).unwrap();
        stream.write_all(&framed(&super::resolver::query(9, zone))).unwrap();
        let plain = read_frame(&mut stream).unwrap_or_default();
        let mut query = super::resolver::query(9, zone);
        let end = query.len();
        query[end - 4..end - 2].copy_from_slice(&AXFR.to_be_bytes());
        if plain.is_empty() || stream.write_all(&framed(&query)).is_err() {
            return "closed".to_owned();
        }
        let octets = read_frame(&mut stream).unwrap_or_default();
        decode(&octets).map_or_else(
            |_| "closed".to_owned(),
            |m| {
                format!(
                    "{} with {}",
                    Rcode(u16::from(m.metadata.response_code)),
                    if m.answers.is_empty() { "nothing" } else { "records" }
                )
            },
        )
    }

    /// Whether the server takes up by itself what changes in its Corefile.
    pub(crate) fn notices(&self) -> String {
        let (file, zone) = (self.path("Corefile"), fresh("noticed.example"));
        let text = std::fs::read_to_string(&file).unwrap();
        let block = format!(
            "{zone}:{} {{\n bind 127.0.0.1\n template IN A {{\n answer \"{{{{ .Name }}}} 60 IN A 192.0.2.3\"\n }}\n}}\n",
            self.port()
        );
        std::fs::write(&file, text + &block).unwrap();
        let noticed = wait_for(MOMENT * 7, || self.answer(&zone, A) == "NOERROR 192.0.2.3");
        if noticed { "by itself" } else { "no" }.to_owned()
    }

    /// Whether the server asks itself, through its upstream, for a name that nobody else can guess.
    pub(crate) fn probes(&self) -> String {
        if self.world.probes() > 0 { "probes" } else { "none" }.to_owned()
    }

    /// Whether the log has lines for who looks for faults.
    pub(crate) fn debugs(&self) -> String {
        self.ask(&fresh("dead.test"), A);
        let debugs = wait_for(MOMENT * 3, || self.log().lines().any(|line| line.contains("[DEBUG]")));
        if debugs { "lines" } else { "none" }.to_owned()
    }
}
