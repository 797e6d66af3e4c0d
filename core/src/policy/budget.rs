//! What callouts may cost: token buckets for each client, each registrable domain and the whole instance.

use std::net::IpAddr;

use crate::hash;
use crate::policy::Policy;
use crate::policy::bucket::TokenBuckets;

/// Clients and registrable domains whose buckets are kept.
const BUCKETS: usize = 4_096;

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
        Self {
            secret,
            clients: buckets(policy.client_callouts_per_s, BUCKETS),
            domains: buckets(policy.domain_callouts_per_s, BUCKETS),
            all: buckets(policy.callouts_per_s, 1),
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
        let budgets = |client, domain, all| {
            let policy = Policy {
                client_callouts_per_s: client,
                domain_callouts_per_s: domain,
                callouts_per_s: all,
                ..Policy::default()
            };
            let mut budgets = Budgets::new(&policy, 1);
            let client = |i: u8| IpAddr::from([10, 0, 0, i]);
            [
                (0..10).filter(|_| budgets.take(client(1), "same.example", 5)).count(),
                (0..10).filter(|i| budgets.take(client(10 + i), &format!("{i}.example"), 5)).count(),
            ]
        };
        assert_eq!(budgets(2, 100, 100), [4, 10], "one client");
        assert_eq!(budgets(100, 2, 100), [4, 10], "one registrable domain");
        assert_eq!(budgets(100, 100, 6), [10, 2], "everybody together");
    }
}
