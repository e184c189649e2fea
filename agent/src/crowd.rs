//! Whether people's media flows through this instance: the one notion that verdict, cures and drain
//! share. It looks at what moves while somebody talks: the bridge's packet rates, or, when the bridge says
//! nothing, the machine's UDP datagrams. The bridge's byte totals stand still until somebody leaves.

use std::time::Duration;

use tokio::time::Instant;

use crate::health::Traffic;
use crate::patience::STALL;
use crate::system::{System, read_text};

/// Packets a second, both ways, from which on somebody's media flows through the bridge. Measured with
/// real browsers: two people talking 360, three muted 205 (silent Opus is sent all the same), one who was
/// left over 63; a pair that talks past the bridge (p2p) 7, nobody 0.
const PACKET_RATE: f64 = 20.0;
/// Fewer datagrams a second than even a silent pair that talks past the bridge sends to keep its way open
/// (7 to 10): nobody is there, whoever is still counted.
const STILL_RATE: f64 = 3.0;
/// Packets a second from which on somebody is inside though no media flows through the bridge: a pair that
/// talks past it sends 7, and every restart but nginx's ends its meeting as any other.
const PAIR_PACKETS: f64 = 3.0;
/// The same in datagrams received, of which a pair sends 7 to 10.
const PAIR_DATAGRAMS: f64 = 5.0;
/// What the agent's own meeting may add to either rate, for as long as the bridge shows it.
const PROBE_RATE: f64 = 30.0;
/// Datagrams a second received by the machine that mean the same, when the bridge gives no figures.
/// Measured: 7 to 10 for a pair that talks past the bridge, 52 for one person, 270 for three.
const DATAGRAM_RATE: f64 = 20.0;
/// The shortest time a rate of datagrams is taken over.
const WINDOW: Duration = Duration::from_secs(3);

/// Looks, and remembers the datagrams of looks before.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// The newest count that is older than [`WINDOW`], and those since.
    counts: Vec<(Instant, u64)>,
    still: Option<bool>,
    inside: Option<bool>,
    seen: Option<Instant>,
}

impl Crowd {
    /// Whether media flows; `None` while that cannot be known. `datagrams` are those received since boot;
    /// `probing` says that the agent's own meeting runs, or has just ended.
    pub fn look(
        &mut self,
        now: Instant,
        figures: Option<&Traffic>,
        datagrams: Option<u64>,
        probing: bool,
    ) -> Option<bool> {
        let ours = if probing { PROBE_RATE } else { 0.0 };
        let received = self.datagram_rate(now, datagrams);
        let packets = figures.and_then(Traffic::packet_rate);
        self.still = received
            .zip(packets)
            .map(|(datagrams, packets)| datagrams < STILL_RATE && packets < 1.0);
        let flows = match packets {
            Some(rate) => Some(rate >= PACKET_RATE + ours),
            None => received.map(|rate| rate >= DATAGRAM_RATE + ours),
        };
        let pair = packets.map(|rate| (rate, PAIR_PACKETS));
        let pair = pair.or(received.map(|rate| (rate, PAIR_DATAGRAMS)));
        self.inside = pair.map(|(rate, least)| {
            // In between it may be our own meeting alone, and says nothing new.
            rate >= least + ours || (rate >= least && self.inside == Some(true))
        });
        if self.inside == Some(true) {
            self.seen = Some(now);
        }
        flows
    }

    /// Whether somebody is inside, whose media may flow past the bridge, or was a moment ago: media stops
    /// while the bridge stalls, and people stay. Also while that cannot be known.
    pub fn is_anybody_inside(&self, now: Instant) -> bool {
        self.inside.unwrap_or(true) || self.seen.is_some_and(|seen| now < seen + STALL)
    }

    /// Whether at the last look nothing moved at all: whoever the bridge still counts has gone.
    pub fn is_still(&self) -> Option<bool> {
        self.still
    }

    fn datagram_rate(&mut self, now: Instant, datagrams: Option<u64>) -> Option<f64> {
        let Some(count) = datagrams else {
            self.counts.clear();
            return None;
        };
        let old = self.counts.iter().rposition(|(at, _)| now >= *at + WINDOW);
        self.counts.drain(..old.unwrap_or(0));
        self.counts.push((now, count));
        let (since, before) = self.counts[0];
        old?;
        #[expect(clippy::cast_precision_loss, reason = "datagrams of a few seconds")]
        let grown = count.saturating_sub(before) as f64;
        Some(grown / (now - since).as_secs_f64())
    }
}

/// UDP datagrams received by this machine's programs since boot, of IPv4, which is all that a bridge on
/// EC2 is offered at; also those that come to its IPv6 socket.
pub fn received_datagrams(system: &dyn System) -> Option<u64> {
    let text = read_text(system, "/proc/net/snmp").ok()??;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let position = lines.next()?.split(' ').position(|name| name == "InDatagrams")?;
    lines.next()?.split(' ').nth(position)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::system::fake::Fake;

    /// What a real bridge and its machine said every 2 s: `(seconds, figures, datagrams)`.
    fn recorded(text: &str) -> Vec<(f64, Option<Traffic>, Option<u64>)> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line.get("event").is_none())
            .map(|line| {
                let figures = serde_json::from_value(line["stats"].clone()).ok();
                (line["t"].as_f64().unwrap(), figures, line["udp_in_datagrams"].as_u64())
            })
            .collect()
    }

    fn flows(figures: bool, text: &str) -> Vec<(f64, Option<bool>)> {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        let looks = recorded(text).into_iter();
        looks
            .map(|(at, said, datagrams)| {
                let now = start + Duration::from_secs_f64(at);
                (at, crowd.look(now, said.as_ref().filter(|_| figures), datagrams, false))
            })
            .collect()
    }

    #[test]
    fn a_real_meeting_is_seen_while_it_lasts() {
        // Three browsers from second 4 to second 31.
        let meeting = include_str!("testdata/meeting.jsonl");
        for (at, flows) in flows(true, meeting) {
            let expected = (6.0..34.0).contains(&at);
            assert_eq!(flows, Some(expected), "by the bridge, second {at}");
        }
        for (at, flows) in flows(false, meeting) {
            let expected = match at {
                ..3.0 => None,
                36.0.. => Some(false),
                _ => Some(true),
            };
            assert_eq!(flows, expected, "by the datagrams, second {at}");
        }
    }

    #[test]
    fn people_are_inside_while_the_bridge_stalls() {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        assert_eq!(crowd.look(start, None, Some(0), false), None);
        assert_eq!(crowd.look(start + WINDOW, None, Some(500), false), Some(true));
        let stalled = start + 3 * WINDOW;
        assert_eq!(crowd.look(stalled, None, Some(500), false), Some(false));
        assert!(crowd.is_anybody_inside(start + WINDOW + Duration::from_secs(19)));
        assert!(!crowd.is_anybody_inside(start + WINDOW + STALL));
    }

    #[test]
    fn faults_of_an_empty_server_are_nobody() {
        let faults = include_str!("testdata/faults.jsonl");
        for figures in [true, false] {
            for (at, flows) in flows(figures, faults) {
                assert_ne!(flows, Some(true), "second {at}");
            }
        }
    }

    #[test]
    fn what_is_not_said_is_unknown() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        assert_eq!(crowd.look(now, None, None, false), None);
        assert_eq!(crowd.look(now, Some(&Traffic::default()), Some(5), false), None);
        let later = now + WINDOW;
        assert_eq!(crowd.look(later, Some(&Traffic::default()), Some(5), false), Some(false));
        assert_eq!(crowd.look(later + WINDOW, None, Some(500), false), Some(true));
        assert_eq!(crowd.look(later + WINDOW, None, None, false), None);
    }

    fn rates(download: f64, upload: f64) -> Traffic {
        Traffic {
            packet_rate_download: Some(download),
            packet_rate_upload: Some(upload),
            ..Traffic::default()
        }
    }

    #[test]
    fn muted_people_are_people_and_a_pair_past_the_bridge_is_not() {
        let now = Instant::now();
        for (download, upload, people) in
            [(166.0, 39.0, true), (185.0, 175.0, true), (52.0, 11.0, true), (6.0, 1.0, false)]
        {
            let seen = Crowd::default().look(now, Some(&rates(download, upload)), None, true);
            assert_eq!(seen, Some(people), "{download}/{upload}");
        }
    }

    #[test]
    fn a_pair_past_the_bridge_is_inside_also_while_our_own_meeting_runs() {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        let mut look = |second, (download, upload), probing| {
            let now = start + Duration::from_secs(second);
            crowd.look(now, Some(&rates(download, upload)), None, probing);
            crowd.is_anybody_inside(now)
        };
        assert!(!look(0, (0.0, 0.0), false));
        assert!(!look(1, (4.0, 4.0), true), "our own meeting");
        assert!(look(20, (6.0, 1.0), false));
        assert!(look(60, (6.0, 1.0), true), "no look without our own meeting since");
        assert!(look(61, (0.0, 0.0), false), "a moment ago");
        assert!(!look(81, (0.0, 0.0), false));
        // While the bridge says nothing.
        let (mut crowd, mut datagrams) = (Crowd::default(), 0);
        for second in 0..30 {
            datagrams += if second < 10 { 8 } else { 0 };
            let now = start + Duration::from_secs(second);
            crowd.look(now, None, Some(datagrams), false);
            assert_eq!(crowd.is_anybody_inside(now), second < 12 + STALL.as_secs());
        }
    }

    #[test]
    fn reads_received_datagrams() {
        let text = "Tcp: RtoAlgorithm\nTcp: 1\nUdp: NoPorts InDatagrams InErrors\nUdp: 3 4711 0\n";
        assert_eq!(received_datagrams(&Fake::with(&[("/proc/net/snmp", text)])), Some(4711));
        assert_eq!(received_datagrams(&Fake::default()), None);
    }
}
