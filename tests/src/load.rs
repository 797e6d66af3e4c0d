//! A steady load at one door, as an open loop: questions are sent when it is time, whatever is still unanswered.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use tokio::sync::mpsc;

use crate::client::{Client, Door, Reply, question};
use crate::flow::Flow;
use crate::rig::Rig;

/// How long answers are waited for once no more questions are sent.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Connections of a DoH door, so that every worker has some.
const CONNECTIONS: usize = 8;

/// What became of the questions.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Sent.
    pub sent: usize,
    /// Sent and not answered within five seconds.
    pub lost: usize,
    /// Answered by a failure: another RCODE than 0 and 3, or an HTTP status.
    pub failed: usize,
    /// The longest time without any answer.
    pub silence: Duration,
    /// Time from question to answer, sorted.
    pub took: Vec<Duration>,
}

impl Report {
    /// The time within which this share of the questions was answered.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = ((self.took.len().saturating_sub(1)) as f64 * share).round() as usize;
        self.took.get(at).copied().unwrap_or_default()
    }

    fn of(sent: usize, mut answers: Vec<(Instant, Duration, bool)>) -> Self {
        answers.sort_unstable_by_key(|(at, ..)| *at);
        let gaps = answers.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let silence = gaps.max().unwrap_or_default();
        let failed = answers.iter().filter(|(.., good)| !good).count();
        let mut took: Vec<Duration> = answers.iter().map(|(_, took, _)| *took).collect();
        took.sort_unstable();
        Self { sent, lost: sent - answers.len(), failed, silence, took }
    }
}

/// A load that runs until it is asked how it went.
pub struct Load {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

impl Load {
    /// Asks for these names in turn, so many times a second.
    pub fn start(rig: &Rig, door: Door, names: &[String], per_second: u32) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let wires: Vec<Vec<u8>> = names.iter().map(|name| question(0, name, RecordType::A)).collect();
        let gap = Duration::from_secs(1) / per_second;
        let end = Arc::clone(&ending);
        let thread = match door {
            Door::Udp => {
                let port = rig.options.ports.dns;
                std::thread::spawn(move || udp(port, &wires, gap, &end))
            }
            _ => {
                let client = rig.client();
                std::thread::spawn(move || http(&client, door, &wires, gap, &end))
            }
        };
        Self { ending, thread }
    }

    /// Ends it.
    ///
    /// # Panics
    /// If the load itself did.
    pub fn end(self) -> Report {
        self.ending.store(true, Ordering::Relaxed);
        self.thread.join().expect("a load that does not panic")
    }
}

fn is_good(rcode: u16) -> bool {
    matches!(rcode, 0 | 3)
}

/// Calls `send` with the number of each question when it is time, until the end.
fn pace(gap: Duration, ending: &AtomicBool, mut send: impl FnMut(usize)) -> usize {
    let start = Instant::now();
    for number in 0.. {
        let due = start + gap * number;
        if ending.load(Ordering::Relaxed) {
            return number as usize;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        send(number as usize);
    }
    0
}

fn udp(port: u16, wires: &[Vec<u8>], gap: Duration, ending: &AtomicBool) -> Report {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect((Ipv4Addr::LOCALHOST, port)).expect("a port");
    socket.set_read_timeout(Some(LAST_ANSWERS)).expect("a socket");
    let receiver = socket.try_clone().expect("a socket");
    let receiving = std::thread::spawn(move || {
        let mut buffer = [0u8; 4_096];
        let mut came = Vec::new();
        while let Ok(length) = receiver.recv(&mut buffer) {
            // A message of no bytes ends it.
            if let [a, b, _, flags, ..] = buffer[..length] {
                came.push((Instant::now(), u16::from_be_bytes([a, b]), u16::from(flags & 15)));
            }
        }
        came
    });
    let mut sent = Vec::new();
    let count = pace(gap, ending, |number| {
        let mut wire = wires[number % wires.len()].clone();
        wire[..2].copy_from_slice(&((number % 65_536) as u16).to_be_bytes());
        sent.push(Instant::now());
        socket.send(&wire).expect("loopback takes a datagram");
    });
    let came = receiving.join().expect("a receiver that does not panic");
    // An id comes again after 65,536 questions: its answer is to the last one that was sent before.
    let answers = came.into_iter().filter_map(|(at, id, rcode)| {
        let asked = sent.iter().skip(usize::from(id)).step_by(65_536).rfind(|sent| **sent <= at)?;
        Some((at, at - *asked, is_good(rcode)))
    });
    Report::of(count, answers.collect())
}

fn http(client: &Client, door: Door, wires: &[Vec<u8>], gap: Duration, ending: &AtomicBool) -> Report {
    let (asked, mut questions) = mpsc::unbounded_channel::<usize>();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || pace(gap, ending, |number| _ = asked.send(number)));
        let answers = client.run(async {
            let mut connections = Vec::new();
            for _ in 0..CONNECTIONS {
                connections.push(client.session(door, Ipv4Addr::LOCALHOST).await);
            }
            let mut under_way = tokio::task::JoinSet::new();
            while let Some(number) = questions.recv().await {
                let session = connections[number % CONNECTIONS].clone();
                let wire = wires[number % wires.len()].clone();
                under_way.spawn(async move {
                    let sent = Instant::now();
                    let reply = tokio::time::timeout(LAST_ANSWERS, session.ask(wire)).await;
                    (sent, Instant::now(), reply.unwrap_or(Reply::Nothing))
                });
            }
            let done = under_way.join_all().await.into_iter();
            done.filter(|(.., reply)| *reply != Reply::Nothing)
                .map(|(sent, at, reply)| (at, at - sent, reply.rcode().is_some_and(is_good)))
                .collect()
        });
        Report::of(sending.join().expect("a sender that does not panic"), answers)
    })
}

/// Connections to one door, so many that every worker has some.
pub struct Workers {
    client: Client,
    flows: Vec<Flow>,
}

impl Workers {
    /// How many: the kernel draws a worker for each, and leaves out one of two once in 32,768 times.
    const CONNECTIONS: usize = 16;

    /// Connects.
    ///
    /// # Panics
    /// If the door can't be reached.
    pub fn open(rig: &Rig, door: Door) -> Self {
        let client = rig.client();
        let flows = client.run(async {
            let mut flows = Vec::new();
            for _ in 0..Self::CONNECTIONS {
                flows.push(Flow::open(&client, door, Ipv4Addr::LOCALHOST).await);
            }
            flows
        });
        Self { client, flows }
    }

    /// Asks for a name on each connection until the reply is as wanted: how long that took, or `None` past the limit.
    pub fn wait(&mut self, name: &str, limit: Duration, holds: impl Fn(&Reply) -> bool) -> Option<Duration> {
        let start = Instant::now();
        let wire = question(1, name, RecordType::A);
        self.client.run(async {
            for flow in &mut self.flows {
                while !flow.ask(vec![wire.clone()]).await.iter().all(&holds) {
                    if start.elapsed() > limit {
                        return None;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            Some(start.elapsed())
        })
    }
}
