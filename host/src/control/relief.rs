//! Relief: a name unblocked for a while, or a group's protection paused.
//!
//! Both end by themselves: the filter compares their time with its clock, so nothing has to reach it then.

use std::time::Duration;

use dnsvet_core::name::Name;
use dnsvet_core::policy::{Pause, Policy, Unblock};

use super::{Control, ControlError, Order, Published};
use crate::store::control::{ControlStore, Identity, Relief};
use crate::store::{StoreError, Tenant, now_ms};

/// The longest relief.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A relief and the snapshot that holds it.
#[derive(Debug, Clone)]
pub struct Relieved {
    /// The relief.
    pub relief: Relief,
    /// The snapshot's serial.
    pub serial: u64,
    /// The snapshot's id.
    pub snapshot: String,
}

impl Control {
    /// Unblocks `name` and all below it, or pauses all protection if there is no name, for a group or for all
    /// (`""`). Waits until the snapshot with it is served. A `lasts` of zero ends what was given before.
    ///
    /// # Errors
    /// If the name is none or a public suffix, the group is not known, the time is too long, the store fails, or
    /// no snapshot could be made.
    pub fn relieve(
        &self,
        who: &Identity,
        name: Option<&str>,
        group: &str,
        lasts: Duration,
    ) -> Result<Relieved, ControlError> {
        let refuse = |why: &str| ControlError::Relief(why.to_owned());
        let name = match name {
            None => String::new(),
            Some(text) => {
                let text = text.trim();
                let parsed = Name::parse(text.strip_prefix("*.").unwrap_or(text))
                    .map_err(|why| ControlError::Relief(format!("`{text}` is no name: {why}")))?;
                if parsed.registrable_domain().is_none() {
                    return Err(refuse(
                        "that name is empty or a public suffix, and would free everybody's names",
                    ));
                }
                parsed.as_str().to_owned()
            }
        };
        if lasts > LONGEST {
            return Err(refuse("longer than 30 days; put the name on an allowlist, or vet it benign"));
        }
        let published = self.published();
        let groups = published.as_ref().map(|published| published.groups.as_slice()).unwrap_or_default();
        if !group.is_empty() && !groups.iter().any(|known| known == group) {
            let known = groups.join(", ");
            return Err(ControlError::Relief(format!("no group is called `{group}`; there are: {known}")));
        }
        let time_ms = now_ms();
        let until_ms = time_ms + u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX / 2);
        let relief = Relief { name, group: group.to_owned(), until_ms, author: who.name.clone(), time_ms };
        self.state().relieve(who.tenant, &relief)?;
        let reply = self.order(Order::Vetted)?.recv();
        let published: std::sync::Arc<Published> = reply.map_err(|_| ControlError::Closed)??;
        Ok(Relieved { relief, serial: published.serial, snapshot: published.id.clone() })
    }

    /// What holds now, of a tenant.
    pub fn reliefs(&self, tenant: Tenant) -> Result<Vec<Relief>, ControlError> {
        Ok(self.state().reliefs(tenant, now_ms())?)
    }
}

/// Puts what holds now into a policy.
pub(super) fn apply(policy: &mut Policy, state: &dyn ControlStore) -> Result<(), StoreError> {
    let reliefs = state.reliefs(Tenant::DEFAULT, now_ms())?;
    let (pauses, unblocks): (Vec<Relief>, Vec<Relief>) =
        reliefs.into_iter().partition(|relief| relief.name.is_empty());
    let pause = |relief: Relief| Pause { group: relief.group, until_ms: relief.until_ms };
    policy.pauses = pauses.into_iter().map(pause).collect();
    let unblock =
        |relief: Relief| Unblock { name: relief.name, group: relief.group, until_ms: relief.until_ms };
    policy.unblocks = unblocks.into_iter().map(unblock).collect();
    Ok(())
}
