//! What the records of a transfer mean, in the order they come (RFC 5936 section 2.2, RFC 1995 section 4).
//!
//! ```text
//! AXFR   SOA n, records ..., SOA n
//! IXFR   SOA n, [SOA m, taken out ..., SOA m+1, put in ...]..., SOA n
//!        or like AXFR, or SOA n alone: nothing newer
//! ```

use dnsvet_core::name::Name;

use super::XfrError;
use super::message::types;
use super::text::push_name;
use super::zone::{Record, Soa, Zone, is_within};

/// What came of a transfer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The primary has nothing newer; carries its SOA.
    Unchanged(Soa),
    /// The whole zone.
    Full(Zone),
    /// Our zone, with this many records taken out and put in.
    Changed { zone: Zone, removed: usize, added: usize },
}

/// A transfer under way.
pub(super) struct Transfer<'a> {
    origin: Name,
    apex: Vec<u8>,
    have: Option<&'a Zone>,
    incremental: bool,
    state: State,
    records: u64,
    bytes: u64,
    most_records: u64,
    most_bytes: u64,
}

enum State {
    /// Nothing came yet.
    Start,
    /// The first SOA came; the next record tells how it goes on.
    Opened(Soa),
    Full {
        zone: Zone,
    },
    Steps(Box<Steps>),
    Done(Outcome),
    /// An error was reported.
    Broken,
}

/// Differences being applied to a copy of our zone.
struct Steps {
    newest: Soa,
    zone: Zone,
    adding: bool,
    removed: usize,
    added: usize,
}

impl<'a> Transfer<'a> {
    /// A transfer of zone `origin`. `have` is what we hold; with `incremental` it is what was asked to be
    /// brought up to date. At most so many records and bytes, uncompressed, are taken.
    pub fn new(
        origin: &Name,
        have: Option<&'a Zone>,
        incremental: bool,
        (most_records, most_bytes): (u64, u64),
    ) -> Self {
        Self {
            origin: origin.clone(),
            apex: origin.to_wire(),
            have,
            incremental: incremental && have.is_some(),
            state: State::Start,
            records: 0,
            bytes: 0,
            most_records,
            most_bytes,
        }
    }

    /// Whether all came.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// What came of it, once all came.
    pub fn outcome(self) -> Option<Outcome> {
        match self.state {
            State::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Takes the answer records of one message.
    ///
    /// # Errors
    /// If they are no transfer of the zone, or too much.
    pub fn take(&mut self, records: Vec<Record>) -> Result<(), XfrError> {
        for record in records {
            self.records += 1;
            self.bytes += record.key.len() as u64;
            let too_large = |what, limit| Err(XfrError::TooLarge { what, limit });
            if self.records > self.most_records {
                return too_large("records", self.most_records);
            }
            if self.bytes > self.most_bytes {
                return too_large("bytes", self.most_bytes);
            }
            let state = std::mem::replace(&mut self.state, State::Broken);
            self.state = self.step(state, record)?;
            if matches!(self.state, State::Done(Outcome::Unchanged(_))) {
                // A whole zone may follow that is no newer: not read.
                break;
            }
        }
        Ok(())
    }

    fn step(&self, state: State, record: Record) -> Result<State, XfrError> {
        let soa = self.soa_of(&record)?;
        match (state, soa) {
            (State::Start, Some(soa)) => Ok(match self.have {
                Some(have) if !soa.serial.is_newer_than(have.serial()) => {
                    State::Done(Outcome::Unchanged(soa))
                }
                _ => State::Opened(soa),
            }),
            (State::Start, None) => Err(XfrError::Malformed("a transfer that does not start with the SOA")),
            (State::Opened(first), Some(soa)) => self.second_soa(first, soa),
            (State::Opened(first), None) => {
                let mut zone = Zone::new(self.origin.clone(), first);
                zone.add(record);
                Ok(State::Full { zone })
            }
            (State::Full { zone }, Some(soa)) if soa == *zone.soa() => Ok(State::Done(Outcome::Full(zone))),
            (State::Full { zone }, Some(soa)) => {
                Err(XfrError::Changed { first: zone.serial(), last: soa.serial })
            }
            (State::Full { mut zone }, None) => {
                // The same record twice is one record (RFC 5936 section 2.2 lets the client take it).
                zone.add(record);
                Ok(State::Full { zone })
            }
            (State::Steps(steps), Some(soa)) => self.next_step(steps, soa),
            (State::Steps(mut steps), None) => {
                let fits = match steps.adding {
                    true => {
                        steps.added += 1;
                        steps.zone.add(record)
                    }
                    false => {
                        steps.removed += 1;
                        steps.zone.remove(&record)
                    }
                };
                match (fits, steps.adding) {
                    (true, _) => Ok(State::Steps(steps)),
                    (false, true) => self.inconsistent("a record is put in that is there already"),
                    (false, false) => self.inconsistent("a record is taken out that is not there"),
                }
            }
            (State::Done(_), _) => Err(XfrError::Malformed("records behind the closing SOA")),
            (State::Broken, _) => Err(XfrError::Malformed("records after an error")),
        }
    }

    fn second_soa(&self, first: Soa, soa: Soa) -> Result<State, XfrError> {
        match self.have.filter(|_| self.incremental) {
            Some(have) if soa.serial == have.serial() => Ok(State::Steps(Box::new(Steps {
                newest: first,
                zone: have.clone(),
                adding: false,
                removed: 0,
                added: 0,
            }))),
            _ if soa == first => Ok(State::Done(Outcome::Full(Zone::new(self.origin.clone(), first)))),
            Some(_) => self.inconsistent("they start from another version"),
            None => Err(XfrError::Changed { first: first.serial, last: soa.serial }),
        }
    }

    fn next_step(&self, mut steps: Box<Steps>, soa: Soa) -> Result<State, XfrError> {
        if !steps.adding {
            steps.zone.set_soa(soa);
            steps.adding = true;
            return Ok(State::Steps(steps));
        }
        if soa.serial != steps.zone.serial() {
            return self.inconsistent("a version is missing between them");
        }
        if soa.serial != steps.newest.serial {
            steps.adding = false;
            return Ok(State::Steps(steps));
        }
        if soa != steps.newest {
            return Err(XfrError::Changed { first: steps.newest.serial, last: soa.serial });
        }
        let Steps { mut zone, removed, added, .. } = *steps;
        zone.set_soa(soa);
        Ok(State::Done(Outcome::Changed { zone, removed, added }))
    }

    /// The SOA, if the record is one.
    fn soa_of(&self, record: &Record) -> Result<Option<Soa>, XfrError> {
        let view = record.view();
        if !is_within(view.owner, &self.apex) {
            let mut owner = String::new();
            push_name(&mut owner, view.owner);
            return Err(XfrError::OutOfZone { owner, zone: self.origin.to_string() });
        }
        match (view.rtype, view.owner == self.apex) {
            (types::SOA, true) => Soa::decode(view.ttl_s, view.data)
                .map(Some)
                .ok_or(XfrError::Malformed("an SOA whose data is none")),
            (types::SOA, false) => Err(XfrError::Malformed("an SOA below the zone's own name")),
            // Meta types (RFC 6895 section 3.1) are no part of a zone.
            (0 | 41 | 128..=255, _) => Err(XfrError::Malformed("a record of a type that no zone holds")),
            _ => Ok(None),
        }
    }

    fn inconsistent<T>(&self, why: &'static str) -> Result<T, XfrError> {
        let serial = self.have.map_or(super::Serial(0), Zone::serial);
        Err(XfrError::Inconsistent { serial, why })
    }
}
