//! How long the agent waits before it acts: every figure of cures and verdicts, with its reason. A restart
//! has a price that somebody inside pays, and a replacement ends every meeting: both are weighed here, and
//! nowhere else. The tables of docs/agent.md are made from this.
//!
//! Facts are those of jitsi-videobridge a29d97d, jicofo 7ebb13d and lib-jitsi-meet 01daa07c, measured with
//! three browsers: when the focus leaves a room (`ChatRoom.ts`, `FOCUS_LEFT`), the bridge goes or an XMPP
//! connection ends for good, the page leaves the meeting and loads itself anew after 10 to 30 s
//! (`AbstractPageReloadOverlay.tsx`).

use std::time::Duration;

use crate::health::Component;

/// Failed meetings in a row, behind green lights, before a suspect is restarted.
pub const FAILED_MEETINGS: u32 = 2;
/// What everybody gets who depends on one that was started, and one that is well again before it is
/// suspected of a failed meeting.
pub const SETTLING: Duration = Duration::from_secs(30);
/// What a component that was started gets until it is well, as long as it runs: another start would only
/// begin anew. Java is up after 3 to 5 s, after 26 (jicofo) or 34 s (bridge) on a machine with a load of ten
/// per processor, jicofo's health moves every 10 s, and there are slower machines.
pub const STARTING: Duration = Duration::from_secs(90);
/// So long after media last flowed people still count as inside: a component that stalled for up to 15 s
/// costs nobody anything, while every restart but nginx's ends their meeting.
pub const STALL: Duration = Duration::from_secs(20);
/// The longest pause between two restarts of what is ill; the first is [`SETTLING`], each twice the last.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The same for what is not running at all: starting it once more cuts nobody, and what kept it away may
/// have passed.
pub const LONGEST_PAUSE_OF_THE_DEAD: Duration = Duration::from_secs(30);
/// Being well this long after a restart makes the next illness a new one.
pub const CURED_AFTER: Duration = Duration::from_mins(10);

/// Faults with nobody inside must have lasted this long, and [`CURES`] have failed, before the load
/// balancer is told: each suspect of a failed meeting has had its turn and its time by then.
pub const HOPELESS: Duration = Duration::from_mins(2);
/// Cures that must have failed by [`HOPELESS`].
pub const CURES: u32 = 3;
/// Faults with nobody inside that have lasted this long are told however few cures there were: none
/// applies, or they take too long.
pub const HOPELESS_ANYHOW: Duration = Duration::from_mins(5);
/// While people talk, everything is tried so long before the grace for their media ends: a cure that cuts
/// them for ten seconds is better than the replacement that would follow.
pub const LAST_CHANCE: Duration = Duration::from_mins(2);
/// How long the verdict of an earlier process of the agent, or of an earlier boot, is believed while a
/// successor finds out for itself. A boot without an installation takes less than one minute.
pub const OLD_VERDICT: Duration = Duration::from_mins(5);

/// When one component is restarted, and what that costs.
#[derive(Clone, Copy, Debug)]
pub struct Remedy {
    /// Who is ill.
    pub component: Component,
    /// Who is restarted for it, in this order.
    pub restarts: &'static [Component],
    /// How long it must have been ill when nobody's media flows.
    pub ill: Duration,
    /// The same while media flows; `None`: not before the last chance.
    pub ill_inside: Option<Duration>,
    /// How long meetings must have failed behind green lights before it is suspected while media flows.
    pub suspected_inside: Option<Duration>,
    /// What a restart costs those inside.
    pub cost: &'static str,
    /// Why these times.
    pub reason: &'static str,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One per component. What is dead is started at once, whoever talks.
pub const REMEDIES: [Remedy; 4] = [
    Remedy {
        component: Component::Nginx,
        restarts: &[Component::Nginx],
        ill: seconds(5),
        ill_inside: Some(seconds(5)),
        suspected_inside: Some(seconds(0)),
        cost: "nothing: media runs on, signalling resumes within 13 s",
        reason: "nobody can come in until it is well",
    },
    Remedy {
        component: Component::Prosody,
        restarts: &[Component::Prosody, Component::Jicofo],
        ill: seconds(5),
        ill_inside: Some(seconds(45)),
        suspected_inside: Some(seconds(180)),
        cost: "ends every meeting for 35 to 55 s: pages load themselves anew",
        reason: "jicofo with it, always: after a Prosody that forgot its rooms it gives its meetings up \
                 anyway, and by itself is back with the bridge only after 15 s (`reply-timeout`)",
    },
    Remedy {
        component: Component::Videobridge,
        restarts: &[Component::Videobridge],
        ill: seconds(5),
        ill_inside: None,
        suspected_inside: None,
        cost: "ends every meeting for 20 to 30 s: pages load themselves anew",
        reason: "as long as media flows it serves those inside, whatever it says of itself",
    },
    Remedy {
        component: Component::Jicofo,
        restarts: &[Component::Jicofo],
        ill: seconds(15),
        ill_inside: Some(seconds(75)),
        suspected_inside: Some(seconds(120)),
        cost: "ends every meeting for 25 to 35 s: the focus leaves, pages load themselves anew",
        reason: "its illness keeps only newcomers out and mostly passes: a bridge that stalls is found after \
                 45 s at most and is none for 10 s then (`failure-reset-threshold`), 20 s after a Prosody that \
                 was away, and its health moves every 10 s",
    },
];

/// The remedy for `component`.
pub fn remedy(component: Component) -> &'static Remedy {
    let [nginx, prosody, videobridge, jicofo] = &REMEDIES;
    match component {
        Component::Nginx => nginx,
        Component::Prosody => prosody,
        Component::Videobridge => videobridge,
        Component::Jicofo => jicofo,
    }
}

/// Itself and whoever is ill while it is away.
pub fn affected_by(component: Component) -> &'static [Component] {
    use Component::{Jicofo, Nginx, Prosody, Videobridge};
    match component {
        Prosody => &[Prosody, Jicofo, Videobridge],
        Videobridge => &[Videobridge, Jicofo],
        Jicofo => &[Jicofo],
        Nginx => &[Nginx],
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn table() -> String {
        let time = |time: Option<Duration>| {
            time.map_or_else(|| "last chance".to_owned(), |time| format!("{} s", time.as_secs()))
        };
        let mut table = String::from(
            "| ill | restarted are | nobody inside | media flows | suspected while media flows | what it \
             costs those inside | why |\n|---|---|---|---|---|---|---|\n",
        );
        for r in &REMEDIES {
            let restarts: Vec<_> = r.restarts.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {} |",
                r.component,
                restarts.join(", then "),
                time(Some(r.ill)),
                time(r.ill_inside),
                time(r.suspected_inside),
                r.cost,
                r.reason,
            );
        }
        table
    }

    #[test]
    fn the_document_shows_this_table() {
        let document = include_str!("../../docs/agent.md");
        assert!(document.contains(&table()), "docs/agent.md lacks:\n{}", table());
        for (words, time) in [
            ("HOPELESS", HOPELESS),
            ("HOPELESS_ANYHOW", HOPELESS_ANYHOW),
            ("LAST_CHANCE", LAST_CHANCE),
        ] {
            let row = format!("| `{words}` | {} s |", time.as_secs());
            assert!(document.contains(&row), "docs/agent.md lacks: {row}");
        }
    }

    #[test]
    fn each_is_its_own_remedy_and_people_are_never_cut_sooner_than_nobody() {
        for component in Component::ALL {
            let remedy = remedy(component);
            assert_eq!((remedy.component, remedy.restarts[0]), (component, component));
            assert_eq!(affected_by(component)[0], component);
            assert!(remedy.ill_inside.is_none_or(|inside| inside >= remedy.ill));
        }
    }
}
