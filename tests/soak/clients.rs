//! Those who ask without end, each over a transport of its own, and judge every answer by the model.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_server::net::h2::HttpsClientStream;
use hickory_server::net::quic::QuicClientStream;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::net::xfer::{DnsRequestSender, FirstAnswer};
use hickory_server::proto::op::{DnsRequest, DnsRequestOptions};
use rand::RngExt;
use rollcall_testing::tls::{self, Certificate, HOST};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::model::{Answer, Question, Service, Wrong, ZONE};

/// How queries come to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
    Https,
    Quic,
}

/// All of them.
pub(crate) const TRANSPORTS: [Transport; 5] =
    [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic];

/// The time that a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time that an answer may be behind the API server while nothing hinders the server.
const LATE: Duration = Duration::from_secs(5);

/// What all clients share.
pub(crate) struct Asking {
    pub(crate) ports: BTreeMap<Transport, SocketAddr>,
    pub(crate) certificate: Certificate,
    pub(crate) services: Vec<Mutex<Service>>,
    /// The server is hindered: an answer may be old until it is so no more, and for a while after.
    pub(crate) hindered: Mutex<Hindered>,
    /// The number of the process that answers; 0 while there is none.
    pub(crate) process: AtomicU64,
    pub(crate) ended: AtomicBool,
    pub(crate) tally: Mutex<BTreeMap<Transport, Tally>>,
}

/// When the server last heard the API server without hindrance.
#[derive(Debug)]
pub(crate) enum Hindered {
    /// Since this time.
    Since(Instant),
    /// From one time to the other.
    Until(Instant, Instant),
}

/// What came of the queries over one transport.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) right: u64,
    /// No answer in time, or a connection that broke, while a process was there.
    pub(crate) lost: u64,
    /// SERVFAIL and REFUSED while a process was there.
    pub(crate) failed: u64,
    /// Those that came while no process was there, or another one at the end.
    pub(crate) restarted: u64,
    pub(crate) wrong: Vec<String>,
    pub(crate) last: Option<Instant>,
    /// The longest time between two right answers of one process.
    pub(crate) gap: Duration,
}

impl Asking {
    /// The time that an answer may be behind now.
    fn late(&self, now: Instant) -> Duration {
        match *self.hindered.lock().unwrap() {
            Hindered::Since(since) => LATE + now.saturating_duration_since(since),
            // What came about during the hindrance may be late by all of it, until the server had its time after that.
            Hindered::Until(since, until) if now.saturating_duration_since(until) < LATE => {
                LATE + now.saturating_duration_since(since)
            }
            Hindered::Until(..) => LATE,
        }
    }

    fn count(&self, transport: Transport, count: impl FnOnce(&mut Tally)) {
        count(self.tally.lock().unwrap().entry(transport).or_default());
    }

    /// Asks over one transport until the end.
    pub(crate) async fn run(self: Arc<Self>, transport: Transport, pause: Duration) {
        let mut line: Option<Line> = None;
        while !self.ended.load(Ordering::Relaxed) {
            tokio::time::sleep(pause).await;
            let process = self.process.load(Ordering::SeqCst);
            if process == 0 {
                line = None;
                self.count(transport, |tally| tally.last = None);
                continue;
            }
            if line.is_none() {
                line = tokio::time::timeout(PATIENCE, self.connect(transport)).await.ok().flatten();
            }
            let (service, question, floor) = self.question();
            let asked = Instant::now();
            let answer = match &mut line {
                Some(line) => {
                    tokio::time::timeout(PATIENCE, line.ask(self.message(service, &question))).await.ok().flatten()
                }
                None => None,
            };
            if self.process.load(Ordering::SeqCst) != process {
                self.count(transport, |tally| (tally.restarted, tally.last) = (tally.restarted + 1, None));
                line = None;
                continue;
            }
            match answer {
                None => {
                    line = None;
                    self.count(transport, |tally| tally.lost += 1);
                }
                Some(answer) => self.judge(transport, (service, &question, floor), &answer, asked),
            }
        }
    }

    fn judge(&self, transport: Transport, asked_for: (usize, &Question, usize), answer: &Message, asked: Instant) {
        let (service, question, floor) = asked_for;
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => (),
            _ => return self.count(transport, |tally| tally.failed += 1),
        }
        let said = read(answer, question);
        let late = self.late(asked);
        let mut model = self.services[service].lock().unwrap();
        let wrong = model.judge(question, &said, asked, floor, late).err();
        let wrong = wrong.map(|wrong: Wrong| {
            format!("{transport:?} {} {question:?}: {said:?} is wrong, {wrong:?}:{}", model.name, model.around(floor))
        });
        drop(model);
        self.count(transport, |tally| {
            match wrong {
                None => tally.right += 1,
                Some(wrong) => tally.wrong.push(wrong),
            }
            let now = Instant::now();
            let gap = tally.last.map_or(Duration::ZERO, |last| now - last);
            (tally.gap, tally.last) = (tally.gap.max(gap), Some(now));
        });
    }

    /// A question at random, and the floor of its Service.
    fn question(&self) -> (usize, Question, usize) {
        let mut rng = rand::rng();
        let at = rng.random_range(0..self.services.len());
        let service = self.services[at].lock().unwrap();
        let pods = &service.truth().pods;
        let pod = pods.iter().nth(rng.random_range(0..pods.len().max(1)));
        let question = match (rng.random_range(0..8), pod) {
            (0, Some((_, address))) => Question::Pointer(*address),
            (1, Some((pod, _))) => Question::Pod(pod.clone()),
            (2, _) => Question::Pod("p0".into()),
            (3..=5, _) => Question::Port,
            _ => Question::Service,
        };
        let floor = service.floor();
        (at, question, floor)
    }

    fn message(&self, service: usize, question: &Question) -> Message {
        let host = format!("{}.{ZONE}", self.services[service].lock().unwrap().name);
        let (name, qtype) = match question {
            Question::Service => (host, RecordType::A),
            Question::Port => (format!("_http._tcp.{host}"), RecordType::SRV),
            Question::Pod(pod) => (format!("{pod}.{host}"), RecordType::A),
            Question::Pointer(address) => {
                let [a, b, c, d] = address.octets();
                (format!("{d}.{c}.{b}.{a}.in-addr.arpa."), RecordType::PTR)
            }
        };
        let mut message = Message::new(rand::rng().random(), MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), qtype));
        message.metadata.recursion_desired = true;
        message.edns.get_or_insert_default().set_max_payload(4096);
        message
    }

    async fn connect(&self, transport: Transport) -> Option<Line> {
        let to = self.ports[&transport];
        let speaking = |protocol: &[u8]| tls::speaking(protocol, &self.certificate, None);
        Some(match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.ok()?;
                socket.connect(to).await.ok()?;
                Line::Datagrams(socket)
            }
            Transport::Tcp => Line::Stream(Box::new(TcpStream::connect(to).await.ok()?)),
            Transport::Tls => Line::Stream(Box::new(tls::dial(to, speaking(b"dot")).await.ok()?)),
            Transport::Https => {
                let client = HttpsClientStream::builder(Arc::new(speaking(b"h2")), TokioRuntimeProvider::new());
                Line::Https(client.build(to, HOST.into(), "/dns-query".into()).await.ok()?)
            }
            Transport::Quic => {
                let client = QuicClientStream::builder().crypto_config(speaking(b"doq"));
                Line::Quic(client.build(to, HOST.into()).await.ok()?)
            }
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A way to the server that stays open for many queries.
enum Line {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>),
    Https(HttpsClientStream),
    Quic(QuicClientStream),
}

impl Line {
    /// The answer to one query; none where the line is broken.
    async fn ask(&mut self, query: Message) -> Option<Message> {
        match self {
            Self::Datagrams(socket) => {
                socket.send(&query.to_vec().ok()?).await.ok()?;
                let mut buffer = vec![0; 65_535];
                loop {
                    let len = socket.recv(&mut buffer).await.ok()?;
                    let answer = Message::from_vec(&buffer[..len]).ok()?;
                    if answer.metadata.id == query.metadata.id {
                        return Some(answer);
                    }
                }
            }
            Self::Stream(stream) => {
                let octets = query.to_vec().ok()?;
                stream
                    .write_all(&[&u16::try_from(octets.len()).ok()?.to_be_bytes(), &octets[..]].concat())
                    .await
                    .ok()?;
                stream.flush().await.ok()?;
                let mut answer = vec![0; usize::from(stream.read_u16().await.ok()?)];
                stream.read_exact(&mut answer).await.ok()?;
                Message::from_vec(&answer).ok().filter(|answer| answer.metadata.id == query.metadata.id)
            }
            Self::Https(client) => first(client, query).await,
            Self::Quic(client) => first(client, query).await,
        }
    }
}

async fn first(client: &mut impl DnsRequestSender, query: Message) -> Option<Message> {
    let request = DnsRequest::new(query, DnsRequestOptions::default());
    Some(client.send_message(request).first_answer().await.ok()?.into_message())
}

/// An answer as the model has it.
fn read(answer: &Message, question: &Question) -> Answer {
    let beside = |target: &Name| {
        let all = answer.additionals.iter().filter(|record| record.name == *target);
        let mut all: Vec<String> = all.map(|record| record.data.to_string()).collect();
        all.sort();
        all.join(" ")
    };
    let record = |data: &RData| match (question, data) {
        (Question::Port, RData::SRV(srv)) => format!("{} {}", srv.target, beside(&srv.target)),
        (_, data) => data.to_string(),
    };
    let mut records: Answer = answer.answers.iter().map(|answer| record(&answer.data)).collect();
    // No name that is asked for is there without records: of a Service without pods there is no slice.
    if records.is_empty() != (answer.metadata.response_code == ResponseCode::NXDomain) {
        records.insert(answer.metadata.response_code.to_string());
    }
    records
}
