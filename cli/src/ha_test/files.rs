//! The report's files: one HTML page for people, the same as JSON for programs, side by side.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};

use super::{html, report::Report};
use crate::{error::Hinted, ui::SCHEMA};

/// Where a report goes: `path` itself if it names a page, else a page in the directory `path`, named
/// after `now` in UTC. Refuses what cannot be written to, as long as nothing is harmed.
pub fn page_path(path: &Path, now: SystemTime) -> Result<PathBuf> {
    let page = if path.extension().is_some_and(|ending| ending == "html") {
        path.to_owned()
    } else {
        // 2026-11-20T10:15:30Z
        let digits: String = humantime::format_rfc3339_seconds(now)
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let (day, time) = digits.split_at(8);
        path.join(format!("ha-test-{day}-{time}.html"))
    };
    let directory = page.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    tempfile::tempfile_in(directory).map_err(|error| {
        Hinted::user(
            format!("no report can be written to {}: {error}", directory.display()),
            "name a directory that is there, or a file NAME.html in one: --report PATH",
        )
    })?;
    Ok(page)
}

/// Writes both files; the JSON has the page's name with another ending.
pub async fn write(report: &Report, page: &Path) -> Result<()> {
    let html = html::page(report).context("making the report's page")?;
    let json = serde_json::json!({ "schema": SCHEMA, "kind": "ha-test", "result": report });
    for (path, text) in
        [(page.to_owned(), html), (page.with_extension("json"), format!("{json:#}\n"))]
    {
        let written = tokio::fs::write(&path, text).await;
        written.with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_report_is_named_after_its_time_unless_it_has_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_795_169_730);
        let page = page_path(directory.path(), now).unwrap();
        assert_eq!(page.file_name().unwrap(), "ha-test-20261120-101530.html");
        let named = directory.path().join("mine.html");
        assert_eq!(page_path(&named, now).unwrap(), named);
        assert!(page_path(&directory.path().join("absent"), now).is_err());
    }
}
