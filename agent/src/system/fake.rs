//! A machine in memory: files are a map, programs answer from a script.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;

use super::{Command, Output, Owner, System};

type Answer = Box<dyn Fn(&Command) -> Option<Output> + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) files: Mutex<BTreeMap<PathBuf, (Vec<u8>, u32)>>,
    links: Mutex<BTreeMap<PathBuf, PathBuf>>,
    refused: Mutex<BTreeSet<PathBuf>>,
    ran: Mutex<Vec<Command>>,
    answers: Mutex<Vec<Answer>>,
    hanging: Mutex<Vec<(String, String)>>,
    pub(crate) interfaces: Mutex<Vec<Ipv4Addr>>,
}

impl Fake {
    /// A machine with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let fake = Self::default();
        for (path, content) in files {
            fake.put(path, content);
        }
        fake
    }

    pub(crate) fn put(&self, path: &str, content: &str) {
        self.files.lock().unwrap().insert(path.into(), (content.as_bytes().to_vec(), 0o644));
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let files = self.files.lock().unwrap();
        files.get(Path::new(path)).map(|(content, _)| String::from_utf8_lossy(content).into_owned())
    }

    /// Lets every later write to `path` fail as on a full disk.
    pub(crate) fn refuse(&self, path: &str) {
        self.refused.lock().unwrap().insert(path.into());
    }

    /// Takes a refusal back.
    pub(crate) fn allow(&self, path: &str) {
        self.refused.lock().unwrap().remove(Path::new(path));
    }

    /// Answers programs whose command line starts with `start`; the newest answer wins.
    pub(crate) fn answer(&self, start: &str, code: i32, stdout: &str) {
        let stdout = stdout.to_owned();
        self.answer_by(start, move |_| (code, stdout.clone()));
    }

    /// The same, with an exit code and output that depend on the command's input.
    pub(crate) fn answer_by(
        &self,
        start: &str,
        answer: impl Fn(&str) -> (i32, String) + Send + Sync + 'static,
    ) {
        let start = start.to_owned();
        self.answers.lock().unwrap().push(Box::new(move |command| {
            let (code, stdout) =
                command.to_string().starts_with(&start).then(|| answer(&command.input))?;
            Some(Output { code: Some(code), stdout, stderr: String::new() })
        }));
    }

    /// Programs whose command line starts with `start` take until one that starts with `end` is run.
    pub(crate) fn hang(&self, start: &str, end: &str) {
        self.hanging.lock().unwrap().push((start.to_owned(), end.to_owned()));
    }

    fn hangs(&self, command: &str) -> bool {
        let ran = self.ran();
        let hanging = self.hanging.lock().unwrap();
        hanging.iter().any(|(start, end)| {
            command.starts_with(start) && !ran.iter().any(|line| line.starts_with(end))
        })
    }

    /// Command lines run so far.
    pub(crate) fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    /// What was given to programs on standard input.
    pub(crate) fn inputs(&self) -> Vec<String> {
        self.ran.lock().unwrap().iter().map(|command| command.input.clone()).collect()
    }

    pub(crate) fn forget_runs(&self) {
        self.ran.lock().unwrap().clear();
    }
}

#[async_trait]
impl System for Fake {
    async fn run(&self, command: &Command) -> Result<Output> {
        self.ran.lock().unwrap().push(command.clone());
        while self.hangs(&command.to_string()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let answers = self.answers.lock().unwrap();
        let answer = answers.iter().rev().find_map(|answer| answer(command));
        Ok(answer.unwrap_or(Output { code: Some(0), ..Output::default() }))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        Ok(self.files.lock().unwrap().get(path).map(|(content, _)| content.clone()))
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32, _owner: Owner<'_>) -> Result<()> {
        anyhow::ensure!(
            !self.refused.lock().unwrap().contains(path),
            "writing {}: No space left on device",
            path.display()
        );
        self.files.lock().unwrap().insert(path.into(), (content.to_vec(), mode));
        Ok(())
    }

    fn has_owner_and_mode(&self, path: &Path, mode: u32, _owner: Owner<'_>) -> Result<bool> {
        Ok(self.files.lock().unwrap().get(path).is_some_and(|(_, m)| *m == mode))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.files.lock().unwrap().remove(path);
        self.links.lock().unwrap().remove(path);
        Ok(())
    }

    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        self.links.lock().unwrap().insert(link.into(), target.into());
        Ok(())
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        Ok(self.links.lock().unwrap().get(path).cloned())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.lock().unwrap().keys().any(|file| file.starts_with(path))
            || self.links.lock().unwrap().contains_key(path)
    }

    fn addresses(&self) -> Result<Vec<Ipv4Addr>> {
        Ok(self.interfaces.lock().unwrap().clone())
    }

    fn free_bytes(&self, _path: &Path) -> Result<u64> {
        Ok(30 << 30)
    }

    fn processors(&self) -> usize {
        2
    }
}
