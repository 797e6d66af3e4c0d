//! `POST /v1/score/stream`: one name a line in, `name<TAB>score` a line out, for any length.
//!
//! ```text
//! body ─► lines ─► chunks of names ─► lane (waits for room) ─► at most 8 chunks under way ─► lines out
//! ```
//!
//! Memory is bounded whatever the length: when the caller reads slowly, chunks pile up to their bound and
//! then its body is no longer read; so a caller must read while it writes, as `curl -T` does. One line goes
//! out for each line in, in order; a text that is no name gives `text<TAB>error: why`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use dnsvet_core::name::Name;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{ApiError, App};
use crate::lane::{Lane, Ticket};
use crate::metrics::Outcome;
use crate::service::{ScoreError, parse_name};

/// Names of a chunk.
const CHUNK_NAMES: usize = 4_096;
/// Chunks of one stream that are under way at once.
const CHUNKS: usize = 8;
/// A longer line is no name, and is cut in the answer.
const MAX_LINE_BYTES: usize = 4_096;

#[derive(Deserialize)]
pub(super) struct Options {
    /// The model; the default one if absent.
    model: Option<String>,
}

/// Lines of one chunk, and the promise of the logits of those that are names.
struct Chunk {
    lines: Vec<(String, Option<String>)>,
    lane: Arc<Lane>,
    ticket: Ticket,
}

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Query(options): Query<Options>,
    body: Body,
) -> Response {
    if let Err(error) = app.service.lane(options.model.as_deref()) {
        return ApiError::Score(error).respond(&app);
    }
    // Held until the last line is out: a stream is in work for longer than its handler.
    let Ok(permit) = Arc::clone(&app.in_flight).try_acquire_owned() else {
        return ApiError::Busy.respond(&app);
    };
    let (chunks, queued) = mpsc::channel(CHUNKS);
    let (out, answer) = Channel::<Bytes, StreamError>::new(2);
    let reader_app = Arc::clone(&app);
    let reader = tokio::spawn(async move { read(&reader_app, options.model, body, chunks).await });
    tokio::spawn(async move {
        let outcome = match write(queued, out).await {
            Ok(()) => Outcome::Ok,
            Err(()) => Outcome::Failed,
        };
        reader.abort();
        drop(permit);
        app.service.metrics().request(outcome);
    });
    ([(header::CONTENT_TYPE, "text/tab-separated-values; charset=utf-8")], Body::new(answer)).into_response()
}

/// Why a stream breaks off: its connection is closed without the last chunk, so that a caller can tell it
/// from a whole answer.
#[derive(Debug, Clone, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Score(#[from] ScoreError),
    #[error("body ended early: {0}")]
    Body(String),
}

type Queued = Result<Chunk, StreamError>;

async fn read(app: &App, model: Option<String>, mut body: Body, chunks: mpsc::Sender<Queued>) {
    let mut lines = Lines::default();
    loop {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                // A send fails only if the writer has gone, and then nobody asks.
                let _ = chunks.send(Err(StreamError::Body(error.to_string()))).await;
                return;
            }
            None => break,
        };
        let Ok(mut data) = frame.into_data() else { continue };
        while let Some(line) = lines.next(&mut data) {
            if lines.push(line) && !flush(app, &model, &mut lines, &chunks).await {
                return;
            }
        }
    }
    if let Some(line) = lines.rest() {
        lines.push(line);
    }
    flush(app, &model, &mut lines, &chunks).await;
}

/// Queues what has come together; false if the stream is over.
async fn flush(app: &App, model: &Option<String>, lines: &mut Lines, chunks: &mpsc::Sender<Queued>) -> bool {
    let (entries, names) = lines.take();
    if entries.is_empty() {
        return true;
    }
    app.service.metrics().bad_names.inc_by((entries.len() - names.len()) as u64);
    let queued = app.service.queue(model.as_deref(), names).await;
    let failed = queued.is_err();
    let chunk = queued.map(|(lane, ticket)| Chunk { lines: entries, lane, ticket });
    chunks.send(chunk.map_err(StreamError::from)).await.is_ok() && !failed
}

async fn write(mut queued: mpsc::Receiver<Queued>, mut out: Sender<Bytes, StreamError>) -> Result<(), ()> {
    while let Some(chunk) = queued.recv().await {
        let text = match chunk {
            Ok(chunk) => render(chunk).await,
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => out.send_data(text).await.map_err(|_| ())?,
            Err(error) => {
                tracing::warn!(%error, "stream broken off");
                out.abort(error);
                return Err(());
            }
        }
    }
    Ok(())
}

async fn render(chunk: Chunk) -> Result<Bytes, StreamError> {
    let logits = chunk.ticket.logits().await.map_err(ScoreError::from)?;
    let model = chunk.lane.model();
    let mut logits = logits.into_iter();
    let mut text = String::with_capacity(chunk.lines.len() * 40);
    for (line, error) in chunk.lines {
        // Writing to a String does not fail.
        let _ = match error {
            Some(error) => writeln!(text, "{line}\terror: {error}"),
            None => writeln!(text, "{line}\t{}", digits(model.score(logits.next().unwrap_or(f32::NAN)))),
        };
    }
    Ok(text.into())
}

/// Nine significant digits, the shortest way: what `dnsvet score` prints too.
fn digits(score: f64) -> String {
    let rounded: f64 = format!("{score:.8e}").parse().unwrap_or(score);
    format!("{rounded}")
}

/// Splits frames into lines and collects them.
#[derive(Default)]
struct Lines {
    partial: BytesMut,
    entries: Vec<(String, Option<String>)>,
    names: Vec<Name>,
}

impl Lines {
    /// The next whole line of `data`, without its end; keeps what is left over for the next frame.
    fn next(&mut self, data: &mut Bytes) -> Option<Bytes> {
        let Some(end) = data.iter().position(|&byte| byte == b'\n') else {
            let room = (MAX_LINE_BYTES + 1).saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&data[..data.len().min(room)]);
            data.clear();
            return None;
        };
        let line = data.split_to(end);
        *data = data.slice(1..);
        if self.partial.is_empty() {
            return Some(line);
        }
        let room = (MAX_LINE_BYTES + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&line[..line.len().min(room)]);
        Some(self.partial.split().freeze())
    }

    /// A last line that has no end.
    fn rest(&mut self) -> Option<Bytes> {
        (!self.partial.is_empty()).then(|| self.partial.split().freeze())
    }

    /// Adds a line; true when the chunk is full.
    fn push(&mut self, line: Bytes) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.len() > MAX_LINE_BYTES {
            let head = String::from_utf8_lossy(&line[..64]).into_owned();
            self.entries.push((head, Some(format!("line of more than {MAX_LINE_BYTES} bytes"))));
        } else {
            let text = String::from_utf8_lossy(line).into_owned();
            match parse_name(&text) {
                Ok(name) => {
                    self.names.push(name);
                    self.entries.push((text, None));
                }
                Err(error) => self.entries.push((text, Some(error.to_string()))),
            }
        }
        self.entries.len() >= CHUNK_NAMES
    }

    fn take(&mut self) -> (Vec<(String, Option<String>)>, Vec<Name>) {
        (std::mem::take(&mut self.entries), std::mem::take(&mut self.names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(frames: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        for frame in frames {
            let mut data = Bytes::copy_from_slice(frame);
            while let Some(line) = lines.next(&mut data) {
                lines.push(line);
            }
        }
        if let Some(line) = lines.rest() {
            lines.push(line);
        }
        lines.take().0.into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn lines_are_the_same_however_frames_cut_them() {
        let text = b"a.example\r\nb.example\n\nc.example";
        let whole = split(&[text]);
        assert_eq!(whole, ["a.example", "b.example", "", "c.example"]);
        for cut in 1..text.len() {
            assert_eq!(split(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(split(&bytes), whole);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.next(&mut Bytes::from(vec![b'a'; 10_000])).is_none());
        }
        assert!(lines.partial.len() <= MAX_LINE_BYTES + 1);
        let line = lines.next(&mut Bytes::from_static(b"\nb.example\n")).unwrap();
        lines.push(line);
        assert!(lines.entries[0].1.as_ref().unwrap().contains("4096"));
    }

    #[test]
    fn scores_have_nine_significant_digits() {
        assert_eq!(digits(0.123_456_789_4), "0.123456789");
        assert_eq!(digits(1.0), "1");
        assert_eq!(digits(1.234_567_891_2e-7), "0.000000123456789");
    }
}
