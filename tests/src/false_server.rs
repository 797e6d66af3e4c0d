//! A server that stands where another should, and does something else.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Listens until it is dropped; then its port is free again.
pub struct FalseServer {
    ended: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl FalseServer {
    /// Listens on a loopback port; each connection is `talk`'s, in a thread of its own.
    ///
    /// # Panics
    /// If the port is taken.
    pub fn start(port: u16, talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        listener.set_nonblocking(true).expect("a listener");
        let (ended, talk) = (Arc::new(AtomicBool::new(false)), Arc::new(talk));
        let stop = Arc::clone(&ended);
        let listening = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) if stream.set_nonblocking(false).is_ok() => {
                        let talk = Arc::clone(&talk);
                        std::thread::spawn(move || talk(stream));
                    }
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { ended, listening: Some(listening) }
    }
}

impl Drop for FalseServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // A panic in there has been printed.
        let _ = self.listening.take().map(JoinHandle::join);
    }
}
