//! A name server that says what a test wants, or nothing.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a record says. It holds for a second.
#[derive(Debug, Clone)]
pub enum Record {
    A(Ipv4Addr),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: &'static str,
    },
}

/// A name server on a free port of loopback, over UDP; it ends when it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    state: Arc<State>,
    answering: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// By names without a dot at their ends. Names that are missing do not exist.
    zone: Mutex<HashMap<String, Vec<Record>>>,
    hangs: AtomicBool,
    unanswered: AtomicUsize,
    over: AtomicBool,
}

/// The longest question that is read.
const QUESTION: usize = 1500;

/// Types of records, as numbers (RFC 1035, 3.2.2; RFC 2782).
const A: u16 = 1;
const SRV: u16 = 33;

/// "Such a name does not exist."
const NO_NAME: u8 = 3;

impl NameServer {
    /// It knows no name.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let answering = std::thread::spawn(move || {
            let mut question = [0; QUESTION];
            while let Ok((length, peer)) = socket.recv_from(&mut question) {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                if shared.hangs.load(Ordering::SeqCst) {
                    shared.unanswered.fetch_add(1, Ordering::SeqCst);
                } else if let Some(answer) = shared.answer(&question[..length]) {
                    // Who asked may have gone.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self {
            address,
            state,
            answering: Some(answering),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets all records of a name.
    pub fn says(&self, name: &str, records: Vec<Record>) {
        let mut zone = self
            .state
            .zone
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        zone.insert(name.to_owned(), records);
    }

    /// Answers nothing any more, or answers again.
    pub fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::SeqCst);
    }

    /// How many questions were left without an answer.
    pub fn unanswered(&self) -> usize {
        self.state.unanswered.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        let woken =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[0], self.address));
        if let (Ok(_), Some(answering)) = (woken, self.answering.take()) {
            // A panic there has failed the test already.
            let _ = answering.join();
        }
    }
}

impl State {
    /// An answer (RFC 1035, 4.1) to a message with one question; none to what is no such message.
    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_at(message, 12)?;
        let asked = message.get(12..end + 4)?;
        let kind = u16::from_be_bytes([*message.get(end)?, *message.get(end + 1)?]);
        let zone = self.zone.lock().unwrap_or_else(PoisonError::into_inner);
        let records = zone.get(&name);
        let fitting: Vec<Vec<u8>> = records
            .into_iter()
            .flatten()
            .filter(|record| record.kind() == kind)
            .map(Record::data)
            .collect();
        let code = if records.is_some() { 0 } else { NO_NAME };
        let count = u16::try_from(fitting.len()).ok()?;
        let mut answer = message.get(..2)?.to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1]);
        answer.extend(count.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(asked);
        for data in fitting {
            // The name of the question, class "internet", a second.
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 1]);
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => A,
            Self::Srv { .. } => SRV,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => {
                let mut data = [priority, weight, port]
                    .map(|number| number.to_be_bytes())
                    .concat();
                for label in target.split('.') {
                    data.push(u8::try_from(label.len()).expect("a short label"));
                    data.extend(label.as_bytes());
                }
                data.push(0);
                data
            }
        }
    }
}

/// The name at a place of a message, in lower case, and where it ends.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = message.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}
