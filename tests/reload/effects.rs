//! What a client or an operator sees of a server, each as one line of text.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollcall::wire::Rcode;
use rollcall::wire::message::{Message, RData, decode};
use rollcall_testing::queries::{self, receive, send};
pub(crate) use rollcall_testing::queries::{A, AAAA, SOA, TXT};
use rollcall_testing::{Client, comes_true, get, tls};

use super::place::Place;

pub(crate) const ANY: u16 = 255;
const AXFR: u16 = 252;

/// How long an answer is waited for that may not come.
const MOMENT: Duration = Duration::from_secs(1);

/// A query with EDNS of 4,096 octets that asks for the server's identifier.
fn query(name: &str, qtype: u16, class: u16) -> Vec<u8> {
    let mut octets = queries::query(7, name, qtype);
    let end = octets.len();
    octets[end - 2..].copy_from_slice(&class.to_be_bytes());
    queries::with_options(octets, 4096, false, &[0, 3, 0, 0])
}

fn exchange(to: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let mut client = Client::new(to);
    client.set_patience(MOMENT);
    client.send(query, false).ok()
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
        let count = asked.iter().filter(|one| queries::name(&one.octets) == format!("{name}.")).count();
        if first == second { format!("{count}") } else { format!("{first}, then {second}") }
    }

    /// What the log says of a query, up to the query's name; nothing where it says nothing.
    pub(crate) fn logged(&self, zone: &str) -> String {
        let name = fresh(zone);
        self.ask(&name, A);
        let mut found = String::new();
        comes_true(MOMENT, || {
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

    /// Whether the page of metrics names a plugin among those in use.
    pub(crate) fn in_use(&self, plugin: &str) -> String {
        let line = format!("coredns_plugin_enabled{{name=\"{plugin}\"");
        let body = self.page(0, "/metrics").map(|(_, body)| body).unwrap_or_default();
        if body.contains(&line) { "in use" } else { "not in use" }.to_owned()
    }

    fn page(&self, nth: usize, path: &str) -> Option<(String, String)> {
        get(self.other_port(nth), path).map(|(status, body)| (status.to_string(), body))
    }

    /// Whether a connection that has asked once is closed soon.
    pub(crate) fn idle(&self) -> String {
        let asked = || {
            let mut stream = TcpStream::connect(self.address()).ok()?;
            stream.set_read_timeout(Some(MOMENT * 3)).unwrap();
            send(&mut stream, &query("a.test", A, 1)).ok()?;
            receive(&mut stream).ok()?;
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
        let answered =
            (0..5).take_while(|_| send(&mut stream, &query("a.test", A, 1)).is_ok() && receive(&mut stream).is_ok());
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
        let pem = std::fs::read_to_string(self.path(&format!("{trusted}.crt"))).unwrap();
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.other_port(2))).ok()?;
        tcp.set_read_timeout(Some(MOMENT * 10)).unwrap();
        let mut stream = tls::connect(&tls::trusting(&pem), tcp).ok()?;
        send(&mut stream, &query("a.test", A, 1)).ok()?;
        receive(&mut stream).ok()
    }

    /// How a zone transfer begins.
    pub(crate) fn transfer(&self, zone: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return "closed".to_owned() };
        stream.set_read_timeout(Some(MOMENT * 10)).unwrap();
        send(&mut stream, &queries::query(9, zone, A)).unwrap();
        let plain = receive(&mut stream).unwrap_or_default();
        if plain.is_empty() || send(&mut stream, &queries::query(9, zone, AXFR)).is_err() {
            return "closed".to_owned();
        }
        let octets = receive(&mut stream).unwrap_or_default();
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
        let noticed = comes_true(MOMENT * 7, || self.answer(&zone, A) == "NOERROR 192.0.2.3");
        if noticed { "by itself" } else { "no" }.to_owned()
    }

    /// Whether the server asks itself, through its upstream, for a name that nobody else can guess.
    pub(crate) fn probes(&self) -> String {
        if self.world.probes() > 0 { "probes" } else { "none" }.to_owned()
    }

    /// Whether the log has lines for who looks for faults.
    pub(crate) fn debugs(&self) -> String {
        self.ask(&fresh("dead.test"), A);
        let debugs = comes_true(MOMENT * 3, || self.log().lines().any(|line| line.contains("[DEBUG]")));
        if debugs { "lines" } else { "none" }.to_owned()
    }
}
