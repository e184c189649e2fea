//! How things look to people.

use std::fmt::Write as _;

use meeting_probe::{Failure, Report, Step};

use crate::board::{Status, now};
use crate::configure::Outcome;
use crate::meeting;
use crate::upkeep::Upkeep;

/// What `configure` did.
pub(super) fn configured(outcome: &Outcome) -> String {
    if *outcome == Outcome::default() {
        return "nothing to do".to_owned();
    }
    let mut text = String::new();
    for path in &outcome.written {
        let _ = writeln!(text, "wrote      {}", path.display());
    }
    for component in &outcome.restarted {
        let _ = writeln!(text, "restarted  {component}");
    }
    text.trim_end().to_owned()
}

/// What the running agent knows.
pub(super) fn status(status: &Status) -> String {
    let verdict = if status.ready { "ready" } else { "NOT READY" };
    let mut text = format!("{verdict}, phase {} for {}\n", status.phase, age(status.phase_since));
    if let Some(identity) = &status.identity {
        let _ = writeln!(
            text,
            "{} ({}) in {}, {} behind {}",
            identity.instance_id,
            identity.instance_type,
            identity.zone,
            identity.private_ipv4,
            identity.public_ipv4
        );
    }
    for component in &status.components {
        let state = component.reason.as_deref().unwrap_or("ok");
        let restarts = match component.restarts {
            0 => String::new(),
            n => format!(", {n} restarts"),
        };
        let _ = writeln!(
            text,
            "  {:<12} {state} for {}, {:.1} ms{restarts}",
            component.component.to_string(),
            age(component.since),
            component.latency_ms
        );
    }
    if let Some(meeting) = &status.meeting {
        let held = if meeting.report.held() {
            format!("held in {:.0} ms", meeting.report.took_ms)
        } else {
            format!("FAILED: {}", meeting::reason(&meeting.report))
        };
        let _ = writeln!(text, "  {:<12} {held}, {} ago", "meeting", age(meeting.at));
    }
    if let Some(traffic) = &status.traffic
        && let (Some(people), Some(meetings)) = (traffic.people(), traffic.conferences)
    {
        let stress = traffic.stress_level.map_or_else(String::new, |s| format!(", stress {s:.2}"));
        let _ = writeln!(text, "{people} people in {meetings} meetings{stress}");
    }
    if status.waiting_for_media {
        text.push_str("would be given up, but people are talking\n");
    }
    let lists =
        [("missing", &status.missing), ("drift", &status.drift), ("warning", &status.warnings)];
    for (label, lines) in lists {
        for line in lines {
            let _ = writeln!(text, "{label}: {line}");
        }
    }
    if let Some(found) = &status.upkeep {
        let _ = writeln!(text, "{}", upkeep(found));
    }
    if let Some(drain) = &status.drain {
        let _ = writeln!(text, "draining: {drain}");
    }
    text.trim_end().to_owned()
}

/// `12 days old, 3 updates pending (1 for security), reboot required`, and the versions below it.
fn upkeep(found: &Upkeep) -> String {
    let mut text = match found.age_days() {
        Some(days) => format!("{days} days old, "),
        None => String::new(),
    };
    let (pending, security) = (found.pending, found.pending_security);
    let _ = write!(text, "{pending} updates pending ({security} for security)");
    if found.reboot_required {
        text.push_str(", reboot required");
    }
    for (name, version) in &found.packages {
        let _ = write!(text, "\n  {name} {version}");
    }
    text
}

/// One step of a meeting.
pub(super) fn step(step: &Step, failure: Option<&Failure>) -> String {
    let mark = if failure.is_some() { "✗" } else { "✓" };
    format!("{mark} {:<20} {:>8.1} ms  {}", step.name.to_string(), step.took_ms, step.detail)
}

/// How a meeting ended.
pub(super) fn meeting(report: &Report) -> String {
    if report.held() {
        return format!("a meeting was held in {:.0} ms", report.took_ms);
    }
    let mut text = format!("no meeting: {}", report.reason.as_deref().unwrap_or("no reason"));
    if let Some(hint) = &report.hint {
        let _ = write!(text, "\nnext: {hint}");
    }
    text
}

fn age(since: u64) -> String {
    let seconds = now().saturating_sub(since);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
