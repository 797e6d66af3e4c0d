//! What callouts may cost: token buckets for each client, each registrable domain and the whole instance.

use std::net::IpAddr;

use crate::hash;
use crate::policy::Policy;
use crate::policy::bucket::TokenBuckets;

/// Clients and registrable domains whose buckets are kept.
const BUCKETS: usize = 4_096;
/// How many clients' worth of callouts one instance makes.
const CLIENTS: u32 = 50;

/// The three buckets that a callout must find a token in.
pub struct Budgets {
    secret: u64,
    clients: TokenBuckets,
    domains: TokenBuckets,
    all: TokenBuckets,
}

impl Budgets {
    /// Full buckets with the policy's rates; a burst is two seconds' worth. `secret` keeps clients from choosing
    /// whom they share a set with.
    pub fn new(policy: &Policy, secret: u64) -> Self {
        let buckets = |rate: u32, count| TokenBuckets::new(rate, rate.saturating_mul(2), count);
        let rate = policy.groups.iter().map(|group| group.client_callouts_per_s).max().unwrap_or(0);
        Self {
            secret,
            clients: buckets(rate, BUCKETS),
            domains: buckets(rate, BUCKETS),
            all: buckets(rate.saturating_mul(CLIENTS), 1),
        }
    }

    /// Takes a token from each; `false` if one of them has none.
    pub fn take(&mut self, client: IpAddr, registrable: &str, now_ms: u64) -> bool {
        let octets = match client {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        self.clients.take(hash::keyed(self.secret, &[&octets]), now_ms)
            && self.domains.take(hash::keyed(self.secret, &[registrable.as_bytes()]), now_ms)
            && self.all.take(0, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_three_can_refuse() {
        let group = crate::policy::Group { client_callouts_per_s: 2, ..Default::default() };
        let mut budgets = Budgets::new(&Policy { groups: vec![group], ..Policy::default() }, 1);
        let mut granted = |client: &dyn Fn(u16) -> u16, domain: &dyn Fn(u16) -> u16, now_ms| {
            let octets = |i: u16| i.to_be_bytes();
            let client = |i| IpAddr::from([10, 0, octets(client(i))[0], octets(client(i))[1]]);
            (0..300).filter(|i| budgets.take(client(*i), &format!("{}.example", domain(*i)), now_ms)).count()
        };
        assert_eq!(granted(&|_| 1, &|i| i, 0), 4, "one client");
        assert_eq!(granted(&|i| 300 + i, &|_| 9_999, 10_000), 4, "one registrable domain");
        assert_eq!(granted(&|i| 700 + i, &|i| 700 + i, 20_000), 200, "everybody together");
    }
}
