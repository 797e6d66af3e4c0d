//! Standard output of the commands: `println!` would panic where it is full, or where nobody reads it any more.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes a line. Ends the process with 1 if that can't be done, in silence if who reads has seen enough (`| head`).
pub(super) fn line(text: Arguments<'_>) {
    write(format_args!("{text}\n"));
}

/// [`line`] for a text that has its ends of lines.
pub(super) fn write(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("dnsvet: standard output: {error}");
        }
        std::process::exit(1);
    }
}

/// Writes a line for whoever looks, to standard error if standard output can't be written; what serves goes on if
/// nobody does.
pub(super) fn announce(text: Arguments<'_>) {
    if writeln!(io::stdout(), "{text}").is_err() {
        tell(text);
    }
}

/// Writes a line to standard error, if anybody reads it.
pub(super) fn tell(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `println!` that does not panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::commands::out::line(format_args!($($text)*)) };
}
pub(super) use say;
