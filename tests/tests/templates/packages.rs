//! The files for apt, debconf, systemd, needrestart and bash, given to these programs.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use jitsi_templates::OwnedFile;
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{install, least_modules, modes, settings, site};
use crate::have;

fn written(files: &[OwnedFile]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file.path.strip_prefix("/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.contents).unwrap();
    }
    root
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

#[test]
fn apt_reads_sources_pins_and_exclusions() {
    if !have(&["apt-get", "apt-cache", "apt-config"], "use Debian or Ubuntu") {
        return;
    }
    let root = written(&install(&settings(&json!({}))));
    let etc = root.path().join("etc/apt");
    let apt = |program: &str, arguments: &[&str]| {
        let state = root.path().join("state");
        fs::create_dir_all(state.join("lists/partial")).unwrap();
        fs::write(state.join("status"), "").unwrap();
        output(
            Command::new(program)
                .arg(format!("-oDir::Etc={}", etc.display()))
                .arg(format!("-oDir::State={}", state.display()))
                .arg(format!("-oDir::State::status={}", state.join("status").display()))
                .arg(format!("-oDir::Cache={}", state.display()))
                .args(arguments),
        )
    };
    let asked = apt("apt-get", &["update", "--print-uris"]);
    for uri in [
        "https://download.jitsi.org/stable/InRelease",
        "https://packages.prosody.im/debian/dists/bookworm/InRelease",
    ] {
        assert!(asked.contains(uri), "{uri} in {asked}");
    }
    assert!(!apt("apt-cache", &["policy"]).contains("E:"));

    let conf = etc.join("apt.conf.d/60jitsi-agent");
    let dump = output(Command::new("apt-config").arg("-c").arg(conf).arg("dump"));
    assert!(dump.contains("Unattended-Upgrade::Package-Blacklist:: \"^jicofo$\";"), "{dump}");
    assert!(dump.contains("Unattended-Upgrade::Package-Blacklist:: \"^jitsi-\";"), "{dump}");
    for patched in ["nginx", "openjdk"] {
        assert!(!dump.contains(&format!("Package-Blacklist:: \"^{patched}")), "{dump}");
    }
    assert!(dump.contains("APT::Periodic::Unattended-Upgrade \"1\";"), "{dump}");
    assert!(dump.contains("label=Debian-Security\";") && dump.contains("origin=Ubuntu"), "{dump}");
}

#[test]
fn debconf_takes_every_answer() {
    if !have(&["debconf-set-selections"], "apt-get install debconf") {
        return;
    }
    for (mode, jitsi) in modes() {
        let files = install(&settings(&jitsi));
        let answers = files.iter().find(|file| file.path.ends_with("debconf")).unwrap();
        let mut child = Command::new("debconf-set-selections")
            .args(["--verbose", "--checkonly"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.contents.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("warning"), "{mode}: {said}");
    }
}

#[test]
fn the_token_package_is_not_given_what_it_refuses() {
    let (_, jwt) = &modes()[1];
    let files = install(&settings(jwt));
    let answers = files.iter().find(|file| file.path.ends_with("debconf")).unwrap();
    for question in ["appid", "appsecret"] {
        let question = format!("jitsi-meet-tokens/{question} ");
        let answer = answers.contents.split(&question).nth(1).unwrap().lines().next().unwrap();
        // `jitsi-meet-tokens.postinst`: "Not allowed unix special characters in secret".
        assert!(!answer.contains(['/', '\\', '"', '\'', '`']), "{answer}");
    }
}

#[test]
fn needrestart_reads_its_exclusions() {
    if !have(&["perl"], "apt-get install perl") {
        return;
    }
    let root = written(&install(&settings(&json!({}))));
    let conf = root.path().join("etc/needrestart/conf.d/jitsi-agent.conf");
    let read = "our %nrconf; do $ARGV[0]; die $@ if $@; \
                print grep { 'jitsi-videobridge2' =~ $_ } keys %{$nrconf{override_rc}}";
    let found = output(Command::new("perl").args(["-e", read]).arg(conf));
    assert!(found.contains("jitsi"), "{found}");
}

fn small_site() -> TempDir {
    written(&site(&settings(&json!({})), &least_modules()))
}

#[test]
fn systemd_accepts_every_unit() {
    if !have(&["systemd-analyze"], "apt-get install systemd") {
        return;
    }
    let root = small_site();
    let units = root.path().join("etc/systemd/system");
    for (path, text) in jitsi_templates::agent_units().unwrap() {
        fs::write(root.path().join(path.trim_start_matches('/')), text).unwrap();
    }
    // A drop-in is judged with a unit around it.
    for name in ["prosody", "jitsi-videobridge2", "nginx"] {
        let unit = units.join(format!("{name}.service"));
        fs::write(unit, "[Service]\nExecStart=/bin/true\n").unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(&units)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    names.sort();
    assert!(names.len() >= 6, "{names:?}");
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&names)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The programs are not installed here; everything else counts.
    let said: Vec<_> = said
        .lines()
        .filter(|line| line.contains(&*units.to_string_lossy()) || line.contains("jitsi"))
        .filter(|line| !line.contains("is not executable"))
        .collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn bash_reads_the_memory_settings() {
    if !have(&["bash"], "apt-get install bash") {
        return;
    }
    let root = small_site();
    let value = |file: &str, name: &str| {
        let path: &Path = &root.path().join(file);
        output(
            Command::new("bash").args(["-euc", &format!(". \"$0\"; echo \"${name}\"")]).arg(path),
        )
    };
    assert_eq!(value("etc/jitsi/jicofo/config", "JICOFO_MAX_MEMORY"), "256m\n");
    assert_eq!(value("etc/jitsi/videobridge/config", "VIDEOBRIDGE_MAX_MEMORY"), "512m\n");
    let properties = value("etc/jitsi/videobridge/config", "JAVA_SYS_PROPS");
    assert!(properties.contains("-Dconfig.file=/etc/jitsi/videobridge/jvb.conf"));
}
