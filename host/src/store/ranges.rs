//! Which numbers of a source are stored already: a few ranges, because batches are consecutive.

/// Sorted, disjoint, non-adjacent inclusive ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

/// Gaps kept for one source; past them the oldest counts as stored: those events were dropped long ago.
const MAX_RANGES: usize = 64;

impl Ranges {
    /// Reads what [`Ranges::encode`] wrote; anything else is empty.
    pub fn decode(text: &str) -> Self {
        let pairs = text.split(',').filter_map(|pair| {
            let (first, last) = pair.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// Of inclusive ranges that are sorted, disjoint and not adjacent.
    pub fn of(ranges: Vec<(u64, u64)>) -> Self {
        let mut ranges = Self(ranges);
        ranges.bound();
        ranges
    }

    /// `1-1000,1200-1300`
    pub fn encode(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        pairs.join(",")
    }

    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| last.saturating_add(1) < number);
        match self.0.get_mut(at) {
            Some((first, last)) if *first <= number && number <= *last => return false,
            Some((_, last)) if last.saturating_add(1) == number => {
                *last = number;
                let end = number;
                if let Some((first, next_last)) = self.0.get(at + 1).copied()
                    && first == end.saturating_add(1)
                {
                    self.0[at].1 = next_last;
                    self.0.remove(at + 1);
                }
            }
            Some((first, _)) if number.saturating_add(1) == *first => *first = number,
            _ => self.0.insert(at, (number, number)),
        }
        self.bound();
        true
    }

    /// Closes the oldest gaps.
    fn bound(&mut self) {
        let over = self.0.len().saturating_sub(MAX_RANGES);
        if over > 0 {
            let first = self.0[0].0;
            self.0.drain(..over);
            self.0[0].0 = first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_in_whatever_order() {
        let mut ranges = Ranges::default();
        let order = [5, 6, 7, 1, 2, 9, 4, 8, 3, 5, 1, 9, u64::MAX, 0];
        let new: Vec<bool> = order.iter().map(|n| ranges.insert(*n)).collect();
        assert_eq!(new.iter().filter(|new| **new).count(), 11, "three are repeats");
        assert_eq!(ranges.encode(), format!("0-9,{0}-{0}", u64::MAX));
        assert_eq!(Ranges::decode(&ranges.encode()), ranges);
    }

    #[test]
    fn many_gaps_stay_bounded_and_the_oldest_closes() {
        let mut ranges = Ranges::default();
        for n in 0..200 {
            ranges.insert(n * 10);
        }
        assert_eq!(ranges.0.len(), MAX_RANGES);
        assert!(!ranges.insert(5), "an old gap counts as stored");
        assert!(ranges.insert(1995));
    }
}
