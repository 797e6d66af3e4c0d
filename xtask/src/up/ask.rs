//! Puts one question through one door and reads the answer. DoH goes through curl, which is a real client.

use std::fmt;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::line::Ports;

const PATIENCE: Duration = Duration::from_secs(5);
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;
const OPTION_EDE: u16 = 15;

/// Where a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// DNS over UDP.
    Udp,
    /// DNS over TCP.
    Tcp,
    /// DoH of the resolver.
    Doh,
    /// DoH of Envoy.
    Envoy,
}

impl Door {
    /// The door's name in the table and in events.
    pub fn name(self) -> &'static str {
        match self {
            Door::Udp => "udp",
            Door::Tcp => "tcp",
            Door::Doh => "doh",
            Door::Envoy => "envoy",
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// RCODE.
    pub rcode: u8,
    /// Addresses in the answer section.
    pub addresses: Vec<IpAddr>,
    /// INFO-CODE of the extended error (RFC 8914), if there is one.
    pub ede: Option<u16>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rcode, self.addresses.first()) {
            (0, Some(address)) => write!(f, "{address}")?,
            (0, None) => write!(f, "NODATA")?,
            (2, _) => write!(f, "SERVFAIL")?,
            (3, _) => write!(f, "NXDOMAIN")?,
            (5, _) => write!(f, "REFUSED")?,
            (other, _) => write!(f, "RCODE {other}")?,
        }
        self.ede.map_or(Ok(()), |code| write!(f, " (EDE {code})"))
    }
}

/// Asks for the IPv4 address of a name; `None` if nothing usable came.
pub fn ask(door: Door, ports: &Ports, name: &str) -> Option<Answer> {
    let question = question(name)?;
    let answer = match door {
        Door::Udp => udp(SocketAddr::from((Ipv4Addr::LOCALHOST, ports.dns)), &question, PATIENCE),
        Door::Tcp => tcp(ports.dns, &question),
        Door::Doh => curl(ports.doh, &question),
        Door::Envoy => curl(ports.envoy, &question),
    }?;
    read(&answer)
}

/// Asks a server over UDP.
pub fn udp(server: SocketAddr, question: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(patience)).ok()?;
    socket.send(question).ok()?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

fn tcp(port: u16, question: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = u16::try_from(question.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

fn curl(port: u16, question: &[u8]) -> Option<Vec<u8>> {
    let url = format!("https://127.0.0.1:{port}/dns-query");
    let mut curl = Command::new("curl")
        .args(["--silent", "--insecure", "--fail", "--max-time", "5", "--data-binary", "@-"])
        .args(["--header", "content-type: application/dns-message", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    curl.stdin.take()?.write_all(question).ok()?;
    let output = curl.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// A question for the IPv4 address of a name, with EDNS so that extended errors come back.
pub fn question(name: &str) -> Option<Vec<u8>> {
    let mut wire = vec![0x2a, 0x2a, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        wire.push(length);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.extend_from_slice(&[0, 0, 1, 0, 1]);
    // OPT: root, type 41, 1,232 bytes, no flags, no options.
    wire.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    Some(wire)
}

/// Reads what the table shows of an answer.
pub fn read(wire: &[u8]) -> Option<Answer> {
    let word = |at: usize| Some(u16::from_be_bytes(wire.get(at..at + 2)?.try_into().ok()?));
    let (questions, answers) = (word(4)?, word(6)?);
    let others = word(8)?.checked_add(word(10)?)?;
    let mut answer = Answer { rcode: wire.get(3)? & 15, addresses: Vec::new(), ede: None };
    let mut at = 12;
    for _ in 0..questions {
        at = skip_name(wire, at)? + 4;
    }
    for index in 0..answers.checked_add(others)? {
        at = skip_name(wire, at)?;
        let (rtype, length) = (word(at)?, usize::from(word(at + 8)?));
        let data = wire.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        match rtype {
            TYPE_A if index < answers => answer.addresses.push(<[u8; 4]>::try_from(data).ok()?.into()),
            TYPE_AAAA if index < answers => answer.addresses.push(<[u8; 16]>::try_from(data).ok()?.into()),
            TYPE_OPT => answer.ede = extended_error(data),
            _ => {}
        }
    }
    Some(answer)
}

fn skip_name(wire: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *wire.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn extended_error(mut options: &[u8]) -> Option<u16> {
    while let [code_high, code_low, high, low, rest @ ..] = options {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let data = rest.get(..length)?;
        if u16::from_be_bytes([*code_high, *code_low]) == OPTION_EDE {
            return Some(u16::from_be_bytes(data.get(..2)?.try_into().ok()?));
        }
        options = rest.get(length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_address_and_extended_error_is_read() {
        let mut wire = question("a.example").unwrap();
        let opt = wire.split_off(wire.len() - 11);
        wire[2..4].copy_from_slice(&[0x81, 0x80]);
        wire[7] = 1;
        wire.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
        wire.extend_from_slice(&opt[..9]);
        wire.extend_from_slice(&[0, 6, 0, 15, 0, 2, 0, 4]);
        let answer = read(&wire).unwrap();
        assert_eq!(answer.to_string(), "192.0.2.1 (EDE 4)");
        assert!((0..wire.len()).all(|cut| read(&wire[..cut]).is_none()), "a cut answer is none");
    }

    #[test]
    fn a_text_that_is_no_name_makes_no_question() {
        assert!(question("a..b").is_none() && question(&"a".repeat(64)).is_none());
    }
}
