//! The name-shape rule: a name whose labels are data, as tunnels and exfiltration write them.
//!
//! ```text
//! name ─> labels before the registrable domain ─> reading (length, alphabet, words or code) ─> levels
//!                                                 points of each level, summed ─> score, bytes carried
//! ```
//!
//! [`shape`] looks at one name alone; what a client asks over a minute is [`super::tunnel`]'s business. Its
//! surprise: the registrable domain has no part in it, so that neither a fair name nor a cheap suffix counts; but
//! below a few zones ([`keepers`]) names carry codes by design and nobody else is given a zone, so nothing said
//! there reaches a stranger. A score is a probability where one name in a hundred is bad, as the look-alike
//! rule's is.

mod keepers;
mod points;
mod reading;

use super::calibration::sigmoid;
use crate::name::Name;

pub use reading::Alphabet;

use points::{BASE, LEAST, POINTS};
use reading::{Levels, Reading};

/// The points hold for as many names with data as clean ones; of those that a filter asks about one in a hundred is
/// bad: `100 * ln(99)`.
const PRIOR: i32 = 460;

/// A name that looks as if it carried data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// How sure that is, [0, 1].
    pub score: f64,
    /// How many bytes its labels could carry.
    pub bytes: u32,
    /// What the label that looks most like data is written in.
    pub alphabet: Alphabet,
}

/// Whether the labels before a name's registrable domain look like data.
pub fn shape(name: &Name) -> Option<Shape> {
    let registrable = name.registrable_domain()?;
    let reading = Reading::of(before(name, registrable)?)?;
    let points = points(&reading.levels());
    if points < LEAST || keepers::is_kept(registrable) {
        return None;
    }
    let score = sigmoid(f64::from(points - PRIOR) / 100.0);
    Some(Shape { score, bytes: reading.bytes(), alphabet: reading.alphabet() })
}

/// How many bytes a name's labels before `registrable` could carry.
pub fn carried_bytes(name: &Name, registrable: &str) -> u32 {
    before(name, registrable).map_or(0, reading::bytes)
}

fn before<'a>(name: &'a Name, registrable: &str) -> Option<&'a str> {
    name.as_str().strip_suffix(registrable)?.strip_suffix('.')
}

fn points(levels: &Levels) -> i32 {
    let each = POINTS.iter().zip(levels).map(|(group, &level)| group.get(level).copied().unwrap_or(0));
    BASE + each.sum::<i32>()
}

#[cfg(test)]
mod fit;
#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;
