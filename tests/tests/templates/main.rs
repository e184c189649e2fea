//! Rendered files in the hands of the real programs: Prosody, nginx, apt, systemd, Python. Servers
//! run in namespaces of their own, on a file system of their own. A test whose program is not
//! installed says SKIPPED, why, and what to install.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "test helpers may panic and print")]

mod crowds; // many visitors at once: who is let in, and what nobody can fill
mod fixture;
mod literals; // every value arrives in user-data as it was given
mod machine;
mod meeting; // Prosody and nginx together: who gets in
mod modes; // with jicofo and a bridge: in each mode, who can hold a meeting
mod nginx; // what visitors and the load balancer see
mod packages; // apt, debconf, systemd and Perl take their files
mod privilege; // what each program may read, and reach
mod user_data; // user-data run against a metadata service and a bucket
mod xmpp;

/// Whether `programs` are there; prints SKIPPED with `install` when one is not.
fn have(programs: &[&str], install: &str) -> bool {
    let missing = programs.iter().find(|name| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories: Vec<_> = std::env::split_paths(&path).collect();
        directories.push("/usr/sbin".into());
        !directories.iter().any(|directory| directory.join(name).is_file())
    });
    if let Some(name) = missing {
        eprintln!("SKIPPED: {name} is not installed; run: {install}");
    }
    missing.is_none()
}

/// Whether this process may make namespaces and mounts; prints SKIPPED when not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: a file system of its own needs root; run: sudo -E cargo test");
    }
    root
}
