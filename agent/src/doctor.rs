//! `doctor`: everything that can be wrong on the instance itself, each finding with what to do. What
//! lies outside the instance (security groups, load balancer, DNS) is the deployer's `doctor`: the
//! instance role may not read it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use jitsi_templates::{Memory, layout};

use crate::health::{self, Bridge};
use crate::imds;
use crate::meeting;
use crate::node::Node;
use crate::progress::Progress;
use crate::system::{Command, System, memory_mib, read_text};

const LIMIT: Duration = Duration::from_secs(4);
/// What the bridge asks its socket for; less loses packets under load.
const RECEIVE_BUFFER: u64 = 10_485_760;
/// Services without authentication or limits, which only this machine may reach.
const PRIVATE_PORTS: [&str; 5] = ["8080", "8888", "5280", "5222", "8444"];

struct Finding {
    what: String,
    result: Result<String>,
    next: &'static str,
}

/// The findings as text, and whether all are well.
pub(crate) async fn examine(node: &Node) -> (String, bool) {
    let system = node.system();
    let identity = node.identity();
    let mut findings = vec![
        finding("memory", memory(system), "choose an instance type with 4 GiB or more"),
        finding("disk", disk(system), "set instance.disk_gib to 20 or more"),
        finding("receive buffer", receive_buffer(system), "sysctl --system"),
        finding("private ports", private_ports(system).await, "jitsi-agent configure"),
        finding(
            "metadata",
            metadata(&node.machine.root, system, &identity.instance_id).await,
            "systemctl restart jitsi-metadata; journalctl -u jitsi-metadata -n 20",
        ),
        finding("files", files(node), "jitsi-agent configure"),
    ];
    let bridge = Bridge { local: identity.private_ipv4 };
    let domain = node.settings.domain.as_str();
    let round = health::round(&node.machine.endpoints, domain, &bridge, system, LIMIT).await;
    for check in round.checks {
        let result = match check.fault {
            Some(fault) => Err(anyhow::Error::msg(fault)),
            None => Ok(format!("answers in {:.1} ms", check.latency.as_secs_f64() * 1e3)),
        };
        let what = check.component.to_string();
        findings.push(Finding {
            what,
            result,
            next: "journalctl -u prosody -u jicofo -u jitsi-videobridge2 -u nginx -n 50",
        });
    }
    findings.push(finding("meeting", hold(node).await, "jitsi-agent probe"));
    report(&findings)
}

fn finding(what: &str, result: Result<String>, next: &'static str) -> Finding {
    Finding { what: what.to_owned(), result, next }
}

fn report(findings: &[Finding]) -> (String, bool) {
    let mut text = String::new();
    for Finding { what, result, next } in findings {
        // Writing to a string cannot fail.
        let _ = match result {
            Ok(said) => writeln!(text, "✓ {what:<15} {said}"),
            Err(error) => writeln!(text, "✗ {what:<15} {error:#}\n  next: {next}"),
        };
    }
    (text.trim_end().to_owned(), findings.iter().all(|finding| finding.result.is_ok()))
}

fn memory(system: &dyn System) -> Result<String> {
    let mib = memory_mib(system)?;
    let memory = Memory::for_total(mib << 20)?;
    Ok(format!(
        "{mib} MiB: {} for the bridge, {} for jicofo, {} swap",
        memory.videobridge_mib, memory.jicofo_mib, memory.swap_mib
    ))
}

fn disk(system: &dyn System) -> Result<String> {
    let free = system.free_bytes(Path::new("/var"))? >> 20;
    ensure!(free >= 1024, "only {free} MiB are free on /var");
    Ok(format!("{free} MiB free"))
}

fn receive_buffer(system: &dyn System) -> Result<String> {
    let text = read_text(system, "/proc/sys/net/core/rmem_max")?.unwrap_or_default();
    let bytes: u64 = text.trim().parse().unwrap_or(0);
    ensure!(bytes >= RECEIVE_BUFFER, "net.core.rmem_max is {bytes}, not {RECEIVE_BUFFER}");
    Ok(format!("{bytes} bytes"))
}

async fn private_ports(system: &dyn System) -> Result<String> {
    let command = Command::new("ss", ["-Hltn"]);
    let listening = system.run(&command).await?.success(&command)?.stdout;
    let open = exposed(&listening);
    ensure!(open.is_empty(), "reachable from outside this machine: {}", open.join(", "));
    Ok("on loopback only".to_owned())
}

/// Tried, not read from rules; only on the very instance that an agent has configured. Elsewhere the
/// address belongs to whatever machine this is, and nothing is sent to it.
async fn metadata(root: &Path, system: &dyn System, instance_id: &str) -> Result<String> {
    ensure!(root == Path::new("/"), "not tried: {} is no instance's root", root.display());
    ensure!(
        Progress::owner(system)?.is_some_and(|owner| owner == instance_id)
            && system.exists(Path::new(layout::METADATA_RULES)),
        "not tried: no agent has configured this instance"
    );
    let (host, port) = imds::endpoint();
    let connect = format!("exec 3<>/dev/tcp/{host}/{port}");
    let mut reached = Vec::new();
    for user in layout::SERVICE_USERS {
        let command = Command::new("runuser", ["-u", user, "--", "bash", "-c", &connect]);
        if system.run(&command.limit(LIMIT)).await?.ok() {
            reached.push(user);
        }
    }
    ensure!(
        reached.is_empty(),
        "whoever takes over {} gets the instance's credentials from {host}",
        reached.join(", ")
    );
    Ok("out of reach of Jitsi's programs".to_owned())
}

/// Local addresses of `ss -ltn` that are private ports on other than loopback addresses.
fn exposed(listening: &str) -> Vec<&str> {
    listening
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter(|local| {
            let Some((address, port)) = local.rsplit_once(':') else { return false };
            let loopback = address.starts_with("127.")
                || address.starts_with("[::1]")
                || address.starts_with("[::ffff:127.");
            PRIVATE_PORTS.contains(&port) && !loopback
        })
        .collect()
}

fn files(node: &Node) -> Result<String> {
    let drift = node.drift()?;
    ensure!(drift.is_empty(), "changed by somebody else: {}", drift.join(", "));
    Ok("as rendered".to_owned())
}

async fn hold(node: &Node) -> Result<String> {
    let report = node.prober()?.hold_meeting(&mut ()).await;
    ensure!(report.held(), "{}", meeting::reason(&report));
    Ok(format!("held in {:.0} ms", report.took_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    #[test]
    fn finds_private_ports_in_the_open() {
        let listening = "LISTEN 0 50 [::ffff:127.0.0.1]:8080 *:*\nLISTEN 0 50 *:8888 *:*\n\
            LISTEN 0 5 127.0.0.1:5280 0.0.0.0:*\nLISTEN 0 511 0.0.0.0:443 0.0.0.0:*\n\
            LISTEN 0 5 0.0.0.0:5222 0.0.0.0:*\n";
        assert_eq!(exposed(listening), ["*:8888", "0.0.0.0:5222"]);
    }

    const ROOT: &str = "/";

    /// An instance the agent has configured.
    fn configured() -> Fake {
        let system = Fake::with(&[(layout::METADATA_RULES, "table inet jitsi_metadata")]);
        Progress::load(&system, "i-1").unwrap().save(&system).unwrap();
        system
    }

    #[tokio::test]
    async fn a_program_that_gets_an_answer_from_the_metadata_service_is_named() {
        let system = configured();
        system.answer("runuser", 1, "");
        assert!(metadata(Path::new(ROOT), &system, "i-1").await.is_ok());
        assert_eq!(system.ran().len(), layout::SERVICE_USERS.len());
        system.answer("runuser -u jicofo", 0, "");
        let error = metadata(Path::new(ROOT), &system, "i-1").await.unwrap_err().to_string();
        assert!(error.contains("takes over jicofo gets"), "{error}");
    }

    #[tokio::test]
    async fn only_an_instance_the_agent_configured_is_tried() {
        let never = Fake::default();
        let without_rules = configured();
        without_rules.remove(Path::new(layout::METADATA_RULES)).unwrap();
        for (what, root, system, instance) in [
            ("a machine without an agent", ROOT, never, "i-1"),
            ("one that is not configured", ROOT, without_rules, "i-1"),
            ("an image of one", ROOT, configured(), "i-2"),
            ("a folder", "/tmp/x", configured(), "i-1"),
        ] {
            let error = metadata(Path::new(root), &system, instance).await.unwrap_err();
            assert!(error.to_string().starts_with("not tried: "), "{what}: {error}");
            assert_eq!(system.ran(), [""; 0], "{what}");
        }
    }

    #[test]
    fn one_bad_finding_is_enough_and_names_the_next_step() {
        let findings = [
            finding("disk", Ok("1 MiB free".into()), "x"),
            finding("files", Err(anyhow::anyhow!("drift")), "jitsi-agent configure"),
        ];
        let (text, well) = report(&findings);
        assert!(!well);
        assert!(text.ends_with("drift\n  next: jitsi-agent configure"));
    }
}
