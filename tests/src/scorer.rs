//! The scorer's place in a rig: names that are asked of it, and what may stand there in its stead.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::false_server::FalseServer;
use crate::names::Draw;
use crate::rig::Rig;

/// What a false scorer does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Answers nothing for 5 s.
    Slow,
    /// Answers 200 with a body that is no JSON.
    Garbage,
}

/// Something on the scorer's port that is no scorer.
///
/// # Panics
/// If the port is taken.
pub fn false_scorer(port: u16, manner: Manner) -> FalseServer {
    FalseServer::start(port, move |stream| talk(stream, manner))
}

fn talk(mut stream: TcpStream, manner: Manner) {
    // Whatever comes, the other side's error is what the test looks at.
    let _ = stream.read(&mut [0; 4096]);
    match manner {
        Manner::Slow => std::thread::sleep(Duration::from_secs(5)),
        Manner::Garbage => drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{]garbage")),
    }
}

/// Names that the small model cannot settle, so that the scorer is asked.
///
/// # Panics
/// If there are too few among 20,000 random ones.
pub fn uncertain(rig: &Rig, count: usize) -> Vec<String> {
    let mut draw = Draw::new("uncertain");
    let mut found = Vec::new();
    for _ in 0..40 {
        let names: Vec<String> = (0..500).map(|_| draw.domain()).collect();
        let asks = |item: &Value| {
            item["trace"].as_array().is_some_and(|lines| lines.iter().any(|line| line["step"] == "scorer"))
        };
        let checks = rig.check(&names);
        found.extend(names.into_iter().zip(checks).filter(|(_, check)| asks(check)).map(|(name, _)| name));
        if found.len() >= count {
            found.truncate(count);
            return found;
        }
    }
    panic!("only {} of 20,000 random names reach the scorer", found.len());
}
