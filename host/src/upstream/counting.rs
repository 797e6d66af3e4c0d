//! An upstream for tests: real sockets, UDP and TCP on one port, which counts what it is asked and answers
//! as the test says.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One question that the upstream saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The message.
    pub wire: Vec<u8>,
    /// Over TCP.
    pub tcp: bool,
}

/// What the upstream sends for one question: any number of messages, each after a wait.
pub type Script = dyn Fn(&Seen) -> Vec<(Duration, Vec<u8>)> + Send + Sync;

/// A running upstream; dropped, it stops.
pub struct CountingUpstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl CountingUpstream {
    /// Starts an upstream on a free port of 127.0.0.1.
    pub fn start(script: impl Fn(&Seen) -> Vec<(Duration, Vec<u8>)> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let on_udp = {
            let (seen, stop, script) = (Arc::clone(&seen), Arc::clone(&stop), Arc::clone(&script));
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while !stop.load(Relaxed) {
                    let Ok((length, from)) = udp.recv_from(&mut buffer) else { continue };
                    let question = Seen { wire: buffer[..length].to_vec(), tcp: false };
                    seen.lock().unwrap().push(question.clone());
                    let (script, udp) = (Arc::clone(&script), udp.try_clone().unwrap());
                    thread::spawn(move || {
                        for (wait, message) in script(&question) {
                            thread::sleep(wait);
                            let _ = udp.send_to(&message, from);
                        }
                    });
                }
            })
        };
        let on_tcp = {
            let (seen, stop, script) = (Arc::clone(&seen), Arc::clone(&stop), script);
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    let Ok((mut stream, _)) = tcp.accept() else {
                        thread::sleep(Duration::from_millis(2));
                        continue;
                    };
                    stream.set_nonblocking(false).unwrap();
                    let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                    thread::spawn(move || {
                        let mut length = [0; 2];
                        while stream.read_exact(&mut length).is_ok() {
                            let mut wire = vec![0; usize::from(u16::from_be_bytes(length))];
                            stream.read_exact(&mut wire).unwrap();
                            let question = Seen { wire, tcp: true };
                            seen.lock().unwrap().push(question.clone());
                            for (wait, message) in script(&question) {
                                thread::sleep(wait);
                                let mut framed = (message.len() as u16).to_be_bytes().to_vec();
                                framed.extend_from_slice(&message);
                                let _ = stream.write_all(&framed);
                            }
                        }
                    });
                }
            })
        };
        Self { address, seen, stop, threads: vec![on_udp, on_tcp] }
    }

    /// Everything that was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for CountingUpstream {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// An answer with one address record for whatever is asked.
pub fn with_address(query: &[u8], ttl_s: u32, address: [u8; 4]) -> Vec<u8> {
    let mut wire = header_and_question(query, 0);
    wire[7] = 1;
    wire.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    wire.extend_from_slice(&ttl_s.to_be_bytes());
    wire.extend_from_slice(&[0, 4]);
    wire.extend_from_slice(&address);
    wire
}

/// An answer without records.
pub fn header_and_question(query: &[u8], rcode: u8) -> Vec<u8> {
    let end = super::message::question_end(query).unwrap();
    let mut wire = query[..end].to_vec();
    wire[2..4].copy_from_slice(&[0x81, 0x80 | rcode]);
    wire[6..12].fill(0);
    wire
}

/// Answers at once with one message.
pub fn at_once(message: Vec<u8>) -> Vec<(Duration, Vec<u8>)> {
    vec![(Duration::ZERO, message)]
}
