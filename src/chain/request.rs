//! The request of a query: its octets, its question, and the whole message once somebody needs that.

use std::sync::OnceLock;

use crate::wire::message::{
    self, DNSClass, Message, MessageEdns, MessageName, MessageQuestion, OpCode, RecordType, Size,
};
use crate::wire::{
    Class, Edns, EdnsOptions, Flags, Header, Name, Opcode, OwnEdns, OwnedQuestion, Parsed, QName, Question, Records,
    Rtype, bare_message, parse,
};

/// A request as it came, or as a plugin changed it.
///
/// # Invariants
/// The question is that of the octets. The name and the message, where they are set, say the same as the octets.
#[derive(Clone, Debug)]
pub struct Request {
    octets: Vec<u8>,
    question: OwnedQuestion,
    name: OnceLock<MessageName>,
    message: OnceLock<Message>,
}

impl Request {
    /// A request as it came, with the question that was read of it.
    pub fn received(question: &Question<'_>) -> Self {
        Self::new(question.message.to_vec(), question.detached())
    }

    fn new(octets: Vec<u8>, question: OwnedQuestion) -> Self {
        Self { octets, question, name: OnceLock::new(), message: OnceLock::new() }
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The question, with its header and its EDNS.
    pub fn question(&self) -> Question<'_> {
        self.question.within(&self.octets)
    }

    /// The id.
    pub fn id(&self) -> u16 {
        self.question.id
    }

    /// The flags of the header.
    pub fn flags(&self) -> Flags {
        self.question.flags
    }

    /// The opcode.
    pub fn opcode(&self) -> Opcode {
        self.flags().opcode()
    }

    /// Whether the client wants recursion (RD).
    pub fn recursion_desired(&self) -> bool {
        self.flags().has(Flags::RD)
    }

    /// Whether the client checks signatures itself (CD, RFC 4035 section 3.2.2).
    pub fn checking_disabled(&self) -> bool {
        self.flags().has(Flags::CD)
    }

    /// The name asked for, as spelled.
    pub fn name(&self) -> &MessageName {
        self.name.get_or_init(|| message::name_as_spelled(self.question().spelling()))
    }

    /// The name asked for, in lower case.
    pub fn qname(&self) -> Name {
        Name::from_wire(self.question.qname.as_wire()).unwrap_or_else(|_| Name::root())
    }

    /// The type asked for.
    pub fn qtype(&self) -> RecordType {
        self.question.qtype.into()
    }

    /// The class asked for.
    pub fn qclass(&self) -> DNSClass {
        self.question.qclass.into()
    }

    /// The OPT record, where there is one.
    pub fn edns(&self) -> Option<Edns> {
        self.question.edns
    }

    /// The whole message; octets are read once.
    pub fn message(&self) -> &Message {
        self.message.get_or_init(|| {
            // What was taken as a query can be read: the door has one verdict for all.
            message::decode_query(&self.octets).unwrap_or_else(|_| {
                let mut message = Message::query();
                message.metadata.id = self.id();
                message.queries.push(self.asked());
                message
            })
        })
    }

    /// The question as messages have it.
    pub fn asked(&self) -> MessageQuestion {
        let mut asked = MessageQuestion::query(self.name().clone(), self.qtype());
        asked.set_query_class(self.qclass());
        asked
    }

    /// The start of an answer: id, opcode, RD, CD and the question, and an OPT record when the request has one.
    pub fn reply_message(&self) -> Message {
        let mut answer = Message::response(self.id(), OpCode::from_u8(self.opcode().0));
        answer.metadata.recursion_desired = self.recursion_desired();
        answer.metadata.checking_disabled = self.checking_disabled();
        answer.queries.push(self.asked());
        answer.edns = self.edns().map(|edns| {
            let mut own = MessageEdns::new();
            own.set_dnssec_ok(edns.dnssec_ok).set_max_payload(OwnEdns::DEFAULT.payload);
            own
        });
        answer
    }

    /// Changes the message, and with it the octets.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Message) -> T) -> T {
        self.message();
        let mut message = self.message.take().unwrap_or_else(Message::query);
        let changed = change(&mut message);
        *self = Self::from(message);
        changed
    }

    /// Asks for something else, and leaves all else as it is.
    pub fn ask(&mut self, name: &MessageName, qtype: RecordType, qclass: DNSClass) {
        // A name in another record may be a pointer to the question's.
        if !self.is_bare() {
            return self.change(|message| {
                message.queries.clear();
                message.queries.push(MessageQuestion::query(name.clone(), qtype));
                message.queries.iter_mut().for_each(|asked| {
                    asked.set_query_class(qclass);
                });
            });
        }
        *self = self.other(self.flags(), name, qtype, qclass);
    }

    /// Sets or clears the AD bit, and returns what it was.
    pub fn set_authentic(&mut self, authentic: bool) -> bool {
        let before = self.question.flags.has(Flags::AD);
        if before != authentic {
            self.question.flags = self.question.flags.without(Flags::AD).with_if(authentic, Flags::AD);
            Flags::change(&mut self.octets, |_| self.question.flags);
            if let Some(message) = self.message.get_mut() {
                message.metadata.authentic_data = authentic;
            }
        }
        before
    }

    /// A question by the same client, for something else: id, RD, CD and the OPT record are those of this request.
    pub fn follow(&self, name: &MessageName, qtype: RecordType) -> Self {
        let mut followed = self.other(self.flags().only(Flags::RD | Flags::CD), name, qtype, DNSClass::IN);
        // A query has no response code, whatever its OPT record says.
        if let Some(octet) = followed.octets.get_mut(followed.question.end + UPPER_RCODE) {
            *octet = 0;
        }
        followed
    }

    /// Another question with the id and the OPT record of this request, and no other record.
    fn other(&self, flags: Flags, name: &MessageName, qtype: RecordType, qclass: DNSClass) -> Self {
        let mut octets = bare_message(self.id(), flags, &spelling(name), qtype.into(), qclass.into());
        octets.extend_from_slice(self.opt());
        Header::change(&mut octets, |header| header.counts[3] = u16::from(self.question.edns.is_some()));
        Self::read(octets)
    }

    /// Whether nothing stands behind the question but an OPT record at most.
    pub(crate) fn is_bare(&self) -> bool {
        let counts = [1, 0, 0, u16::from(self.question.edns.is_some())];
        Header::of(&self.octets).is_some_and(|header| header.counts == counts)
    }

    /// The OPT record; no octets without one.
    fn opt(&self) -> &[u8] {
        let records = Records::new(&self.octets).into_iter().flatten().flatten();
        let opt = records.filter(|_| self.question.edns.is_some()).find(|record| record.rtype == Rtype::OPT);
        opt.and_then(|opt| self.octets.get(opt.owner..opt.end)).unwrap_or_default()
    }

    /// The codes of the options in the OPT record.
    pub(crate) fn option_codes(&self) -> impl Iterator<Item = u16> {
        EdnsOptions::new(self.opt().get(OPT_HEAD..).unwrap_or_default()).flatten().map(|option| option.code)
    }

    /// Takes octets that were written here.
    fn read(octets: Vec<u8>) -> Self {
        let question = match parse(&octets) {
            Parsed::Query(question) | Parsed::Refuse { question: Some(question), .. } => question.detached(),
            // A message of ours without a question, in a test at most.
            Parsed::Refuse { question: None, .. } | Parsed::Drop => OwnedQuestion {
                id: 0,
                flags: Flags::default(),
                qname: QName::from_name(&Name::root()),
                qtype: Rtype(0),
                qclass: Class::IN,
                edns: None,
                end: Header::LEN,
            },
        };
        Self::new(octets, question)
    }
}

/// The length of an OPT record without options.
const OPT_HEAD: usize = 11;
/// The place in an OPT record of the upper bits of the response code (RFC 6891 section 6.1.3).
const UPPER_RCODE: usize = 5;

/// A name in wire format, as it is spelled.
fn spelling(name: &MessageName) -> Vec<u8> {
    let mut octets = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        octets.push(label.len() as u8);
        octets.extend_from_slice(label);
    }
    octets.push(0);
    octets
}

impl From<Message> for Request {
    fn from(message: Message) -> Self {
        // The codec's own writer leaves nothing out: a query may bring more options than an answer has place for.
        let octets = message.to_vec().unwrap_or_else(|_| {
            let mut octets = Vec::with_capacity(128);
            message::encode(&message, Size::tcp(), 0, &mut octets);
            octets
        });
        let request = Self::read(octets);
        let _ = request.message.set(message);
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{RData, Record, rdata};

    fn name(text: &str) -> MessageName {
        MessageName::from_ascii(text).unwrap()
    }

    /// A request with RD and CD, whose OPT record has options.
    fn message() -> Message {
        let mut message = Message::query();
        message.metadata.id = 9;
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = true;
        message.queries.push(MessageQuestion::query(name("Www.Example.org."), RecordType::A));
        let mut edns = MessageEdns::new();
        edns.set_dnssec_ok(true).set_max_payload(4096);
        edns.options_mut().insert(rdata::opt::EdnsOption::Unknown(65001, vec![1, 2]));
        message.edns = Some(edns);
        message
    }

    /// The same request, as if it had come over the network.
    fn received(message: &Message) -> Request {
        let octets = message.to_vec().unwrap();
        let Parsed::Query(question) = parse(&octets) else { panic!("it is a query") };
        Request::received(&question)
    }

    /// Octets, question, name and message must tell the same.
    fn assert_one(request: &Request) {
        let read = message::decode(request.octets()).unwrap();
        assert_eq!(*request.message(), read);
        let question = request.question();
        assert_eq!((question.id, question.end), (read.metadata.id, Header::LEN + request.qname().as_wire().len() + 4));
        assert_eq!(read.queries, [request.asked()]);
        assert_eq!(request.qname(), Name::from(&read.queries[0].name));
        assert_eq!(request.edns().map(|edns| edns.payload), read.edns.as_ref().map(MessageEdns::max_payload));
        assert_eq!(request.flags().has(Flags::AD), read.metadata.authentic_data);
    }

    #[test]
    fn a_request_as_it_came_says_what_its_message_says() {
        for request in [received(&message()), message().into()] {
            assert_eq!(*request.message(), message());
            assert_eq!(request.name().to_ascii(), "Www.Example.org.");
            assert_one(&request);
        }
    }

    #[test]
    fn an_answer_starts_with_what_the_request_says() {
        let answer = received(&message()).reply_message();
        assert_eq!((answer.id, &answer.queries), (9, &message().queries));
        assert!(answer.recursion_desired && answer.checking_disabled && !answer.recursion_available);
        let edns = answer.edns.unwrap();
        assert!(edns.flags().dnssec_ok && edns.max_payload() == 1232);
    }

    #[test]
    fn a_change_is_one_of_octets_question_and_message() {
        let mut with_soa = message();
        let soa = rdata::SOA::new(name("ns.example.org."), name("host.example.org."), 7, 1, 1, 1, 1);
        // Its owner is a pointer to the question's name.
        let owner = name("example.org.");
        with_soa.authorities.push(Record::from_rdata(owner, 1, RData::SOA(soa)));
        for start in [message(), with_soa] {
            for look_before in [false, true] {
                let mut request = received(&start);
                if look_before {
                    request.message();
                }
                request.ask(&name("Other.test."), RecordType::AAAA, DNSClass::CH);
                assert_one(&request);
                let mut wanted = start.clone();
                wanted.queries[0].name = name("Other.test.");
                wanted.queries[0].set_query_type(RecordType::AAAA).set_query_class(DNSClass::CH);
                assert_eq!(*request.message(), wanted);

                assert!(!request.set_authentic(true) && request.set_authentic(true));
                wanted.metadata.authentic_data = true;
                assert_eq!(*request.message(), wanted);
                assert_one(&request);

                request.change(|message| message.metadata.id = 10);
                wanted.metadata.id = 10;
                assert_eq!(*request.message(), wanted);
                assert_one(&request);
            }
        }
    }

    #[test]
    fn a_change_loses_no_option_however_many_there_are() {
        let mut request = received(&message());
        request.change(|message| {
            let options = message.edns.as_mut().unwrap().options_mut();
            options.insert(rdata::opt::EdnsOption::Unknown(65002, vec![7; 3000]));
        });
        assert_eq!(request.option_codes().collect::<Vec<_>>(), [65001, 65002]);
        assert_one(&request);
    }

    #[test]
    fn a_look_up_on_its_behalf_has_its_flags_and_its_opt_record() {
        let mut request = received(&message());
        request.set_authentic(true);
        let followed = request.follow(&name("target.test."), RecordType::SRV);
        let mut wanted = message();
        wanted.queries = vec![MessageQuestion::query(name("target.test."), RecordType::SRV)];
        assert_eq!(*followed.message(), wanted);
        assert_one(&followed);
        assert_eq!(followed.option_codes().collect::<Vec<_>>(), [65001]);
        let mut odd = message();
        odd.metadata.response_code = 1648.into();
        let followed = Request::from(odd).follow(&name("target.test."), RecordType::SRV);
        assert_eq!(*followed.message(), wanted, "a query has no response code");
        let mut plain = message();
        plain.edns = None;
        let followed = received(&plain).follow(&name("target.test."), RecordType::SRV);
        assert!(followed.edns().is_none() && followed.is_bare());
        assert_one(&followed);
    }
}
