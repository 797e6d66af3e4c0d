//! Callouts to the scorer in flight: one for each name, however many ask for it.

use std::collections::HashMap;

use crate::filter::Ticket;
use crate::host::CalloutId;

/// Callouts in flight with the questions that wait for them. The first ticket owns the callout: a proxy
/// cancels it when that question's stream ends.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_id: HashMap<CalloutId, (String, Vec<Ticket>)>,
    by_name: HashMap<String, CalloutId>,
}

impl Flights {
    /// How many callouts are in flight.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Waits for a callout that is already in flight for `name`, if there is one.
    pub fn join(&mut self, name: &str, ticket: Ticket) -> bool {
        let Some((_, tickets)) = self.by_name.get(name).and_then(|id| self.by_id.get_mut(id)) else {
            return false;
        };
        tickets.push(ticket);
        true
    }

    /// A callout for `name` was started by `ticket`.
    pub fn start(&mut self, id: CalloutId, name: &str, ticket: Ticket) {
        self.by_name.insert(name.to_owned(), id);
        self.by_id.insert(id, (name.to_owned(), vec![ticket]));
    }

    /// A callout came back: its name and who waits.
    pub fn land(&mut self, id: CalloutId) -> Option<(String, Vec<Ticket>)> {
        let (name, tickets) = self.by_id.remove(&id)?;
        self.by_name.remove(&name);
        Some((name, tickets))
    }

    /// A question's stream ended. If it owned a callout, that ends too and the others that waited are returned.
    pub fn leave(&mut self, ticket: Ticket) -> Vec<Ticket> {
        let owned =
            self.by_id.iter().find(|(_, (_, tickets))| tickets.first() == Some(&ticket)).map(|(id, _)| *id);
        if let Some(id) = owned {
            let tickets = self.land(id).map(|(_, tickets)| tickets).unwrap_or_default();
            return tickets.into_iter().skip(1).collect();
        }
        for (_, tickets) in self.by_id.values_mut() {
            tickets.retain(|waiting| *waiting != ticket);
        }
        Vec::new()
    }
}
