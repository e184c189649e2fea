//! What one kind of attempt, a request or a meeting, came to over time, and for how long it failed.
//! Times are counted from the start of the watch.

use std::{collections::BTreeMap, time::Duration};

/// Attempts in the order they began.
#[derive(Clone, Debug, Default)]
pub struct Series {
    attempts: BTreeMap<Duration, Option<Ended>>,
}

#[derive(Clone, Debug)]
struct Ended {
    at: Duration,
    failure: Option<String>,
}

/// A stretch of time in which attempts failed.
///
/// A failed attempt shows that the service was away when it began, a good one that it was there
/// when it ended. What lies between is counted as away: [`Outage::longest`] is never too short,
/// and [`Outage::shortest`] is what is proven. One good attempt between failed ones is chance and
/// ends nothing; the outage is over with the first of two in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the last good attempt before it began.
    pub from: Duration,
    /// When the first failed attempt began.
    pub first_failed: Duration,
    /// When the last failed attempt began.
    pub last_failed: Duration,
    /// When the first good attempt after it ended; none while it lasts.
    pub to: Option<Duration>,
    /// Why the first attempt failed.
    pub reason: String,
}

impl Outage {
    /// From the last good attempt to the next, or to `now` while it lasts.
    pub fn longest(&self, now: Duration) -> Duration {
        self.to.unwrap_or(now).saturating_sub(self.from)
    }

    /// From the first failed attempt to the last, or to `now` while it lasts.
    pub fn shortest(&self, now: Duration) -> Duration {
        let last = if self.to.is_some() { self.last_failed } else { now };
        last.saturating_sub(self.first_failed)
    }
}

impl Series {
    /// An attempt begins.
    pub fn begin(&mut self, begun: Duration) {
        self.attempts.insert(begun, None);
    }

    /// The attempt that began at `begun` is over; `failure` says why it failed.
    pub fn end(&mut self, begun: Duration, at: Duration, failure: Option<String>) {
        self.attempts.insert(begun, Some(Ended { at, failure }));
    }

    /// Failed attempts and all attempts that began at or after `since` and are over.
    pub fn count(&self, since: Duration) -> (usize, usize) {
        let ended = self.attempts.range(since..).filter_map(|(_, ended)| ended.as_ref());
        ended.fold((0, 0), |(failed, all), ended| {
            (failed + usize::from(ended.failure.is_some()), all + 1)
        })
    }

    /// Why the attempt that began last, of those that are over, failed; none if it was good.
    pub fn last_failure(&self) -> Option<&str> {
        self.ended().next_back().and_then(|(_, ended)| ended.failure.as_deref())
    }

    /// All outages, in order.
    pub fn outages(&self) -> Vec<Outage> {
        let mut outages = Vec::new();
        let mut open: Option<Outage> = None;
        let mut good: Option<(Duration, Duration)> = None; // the last attempt, if it was good
        for (begun, ended) in self.ended() {
            match (&ended.failure, &mut open) {
                (Some(reason), None) => {
                    open = Some(Outage {
                        from: good.map_or(begun, |(began, _)| began),
                        first_failed: begun,
                        last_failed: begun,
                        to: None,
                        reason: reason.clone(),
                    });
                }
                (Some(_), Some(outage)) => outage.last_failed = begun,
                (None, Some(outage)) => {
                    if let Some((_, back)) = good {
                        outage.to = Some(back);
                        outages.extend(open.take());
                    }
                }
                (None, None) => {}
            }
            good = ended.failure.is_none().then_some((begun, ended.at));
        }
        outages.extend(open);
        outages
    }

    fn ended(&self) -> impl DoubleEndedIterator<Item = (Duration, &Ended)> {
        self.attempts.iter().filter_map(|(begun, ended)| Some((*begun, ended.as_ref()?)))
    }
}

/// The time in which at least one of `outages` lasted.
pub fn total(outages: &[Outage], now: Duration) -> Duration {
    let mut total = Duration::ZERO;
    let mut counted = Duration::ZERO;
    for outage in outages {
        let to = outage.to.unwrap_or(now);
        total += to.saturating_sub(outage.from.max(counted));
        counted = counted.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// `g` good, `f` failed; one a second, each takes 100 ms.
    fn series(course: &str) -> Series {
        let mut series = Series::default();
        for (second, letter) in (0..).zip(course.chars()) {
            let begun = ms(second * 1000);
            series.begin(begun);
            series.end(begun, begun + ms(100), (letter == 'f').then(|| "503".to_owned()));
        }
        series
    }

    fn spans(course: &str) -> Vec<(u64, Option<u64>)> {
        let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        let outages = series(course).outages();
        outages.iter().map(|outage| (whole(outage.from), outage.to.map(whole))).collect()
    }

    #[test]
    fn an_outage_lasts_from_the_last_good_attempt_to_the_next() {
        assert_eq!(spans("gggfffgg"), [(2000, Some(6100))]);
        let outage = &series("gggfffgg").outages()[0];
        assert_eq!(outage.longest(ms(8000)), ms(4100));
        assert_eq!(outage.shortest(ms(8000)), ms(2000));
        assert_eq!(outage.reason, "503");
    }

    #[test]
    fn one_good_attempt_between_failed_ones_ends_nothing() {
        assert_eq!(spans("ggfgfgg"), [(1000, Some(5100))]);
        assert_eq!(spans("ggfggfgg"), [(1000, Some(3100)), (4000, Some(6100))]);
    }

    #[test]
    fn an_outage_that_lasts_has_no_end() {
        assert_eq!(spans("ggff"), [(1000, None)]);
        assert_eq!(spans("ggffg"), [(1000, None)]);
        assert_eq!(total(&series("ggff").outages(), ms(9000)), ms(8000));
    }

    #[test]
    fn attempts_count_by_their_beginning_however_late_they_end() {
        let mut series = Series::default();
        series.begin(ms(0));
        series.begin(ms(1000));
        series.end(ms(1000), ms(1100), None);
        assert!(series.outages().is_empty());
        assert_eq!(series.count(ms(0)), (0, 1));
        series.end(ms(0), ms(5000), Some("no answer".into()));
        series.begin(ms(2000));
        series.end(ms(2000), ms(2100), None);
        assert_eq!(series.outages()[0].to, Some(ms(1100)));
        assert_eq!(series.count(ms(0)), (1, 3));
        assert_eq!(series.count(ms(1)), (0, 2));
        assert_eq!(series.last_failure(), None);
    }

    proptest! {
        #[test]
        fn every_failure_lies_in_one_outage_and_none_is_counted_twice(course in "[gf]{0,60}") {
            let (series, now) = (series(&course), ms(60_000));
            let outages = series.outages();
            for (second, letter) in (0..).zip(course.chars()) {
                let begun = ms(second * 1000);
                let around = outages.iter().filter(|o| o.first_failed <= begun && begun <= o.last_failed);
                prop_assert!(around.count() >= usize::from(letter == 'f'));
            }
            for pair in outages.windows(2) {
                prop_assert!(pair[0].last_failed < pair[1].from);
            }
            let proven: Duration = outages.iter().map(|outage| outage.shortest(now)).sum();
            let most: Duration = outages.iter().map(|outage| outage.longest(now)).sum();
            let total = total(&outages, now);
            prop_assert!(proven <= total && total <= most && total <= now);
            prop_assert_eq!(outages.is_empty(), !course.contains('f'));
        }

        #[test]
        fn one_more_failure_never_shortens_the_time_without_service(
            course in "[gf]{1,40}", at in any::<prop::sample::Index>(),
        ) {
            let now = ms(60_000);
            let mut worse: Vec<char> = course.chars().collect();
            let at = at.index(worse.len());
            worse[at] = 'f';
            let worse: String = worse.into_iter().collect();
            let time = |course: &str| total(&series(course).outages(), now);
            prop_assert!(time(&course) <= time(&worse));
        }
    }
}
