//! The web server where every name leads: its page is titled with the name that was asked for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::network::WEB;

/// Nobody may take longer to send a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves on port 80 until the program ends.
///
/// # Panics
/// If somebody else does.
pub fn serve() {
    let listener = TcpListener::bind((WEB, 80)).expect("port 80 of a network of its own is free");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A browser that went away is no fault of ours.
            std::thread::spawn(move || answer(&stream).ok());
        }
    });
}

/// The title of the page of a name.
pub fn title(name: &str) -> String {
    format!("this is {name}")
}

/// One request on each connection.
fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut name = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((field, value)) = line.split_once(':')
            && field.eq_ignore_ascii_case("host")
        {
            name = value.trim().to_owned();
        }
    }
    let body = format!("<!doctype html><title>{}</title>", title(&name));
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
