//! One piece of work at a time beside the rounds.

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;

/// One task at a time, ended with its owner.
pub(crate) struct Task<T>(Option<JoinHandle<T>>);

impl<T> Default for Task<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn start(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.abort();
        self.0 = Some(tokio::spawn(work));
    }

    pub(crate) fn runs(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn abort(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }

    /// Its result, once; waits forever while there is no task.
    pub(crate) async fn ended(&mut self) -> Result<T> {
        let Some(task) = &mut self.0 else { return std::future::pending().await };
        let result = task.await;
        self.0 = None;
        result.context("a task of the watch")
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
