//! Work beside the requests: tasks that a graceful stop waits for.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::{Background, BoxFuture};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The tasks of the plugins. Cloning shares them.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    runtime: Handle,
    /// How many run.
    running: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
}

impl Tasks {
    /// Runs tasks on `runtime`.
    pub fn on(runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            runtime,
            running: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
        }))
    }

    /// Tells the tasks to come to their end, and waits for them; false if `patience` ran out before.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.0.stopping.send_replace(true);
        let mut running = self.0.running.subscribe();
        let ended = running.wait_for(|count| *count == 0);
        tokio::time::timeout(patience, ended).await.is_ok()
    }
}

/// Counts a task for as long as it exists, however it ends.
struct Running(Arc<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|count| *count -= 1);
    }
}

impl Background for Tasks {
    fn spawn(&self, future: BoxFuture<()>) {
        self.0.running.send_modify(|count| *count += 1);
        let running = Running(self.0.clone());
        self.0.runtime.spawn(async move {
            future.await;
            drop(running);
        });
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let _context = self.0.runtime.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn stopping(&self) -> BoxFuture<()> {
        let mut stopping = self.0.stopping.subscribe();
        Box::pin(async move {
            // The sender lives as long as whoever asks; without it the end is near as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        })
    }

    fn compute(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<()> {
        let task = self.0.runtime.spawn_blocking(work);
        Box::pin(async move {
            // A panic is reported by its hook; whoever waits misses a result.
            let _ = task.await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_tasks_that_come_to_their_end() {
        let tasks = Tasks::on(Handle::current());
        let ended = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (stopping, ended) = (tasks.stopping(), ended.clone());
            tasks.spawn(Box::pin(async move {
                stopping.await;
                ended.fetch_add(1, Ordering::SeqCst);
            }));
        }
        assert!(tasks.stop(Duration::from_secs(60)).await);
        assert_eq!(ended.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_wait_for_ever() {
        let tasks = Tasks::on(Handle::current());
        tasks.spawn(Box::pin(std::future::pending()));
        assert!(!tasks.stop(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn what_is_computed_is_done_on_another_thread() {
        let tasks = Tasks::on(Handle::current());
        let by = Arc::new(std::sync::Mutex::new(None));
        let noted = by.clone();
        let work = move || *noted.lock().unwrap() = Some(std::thread::current().id());
        tasks.compute(Box::new(work)).await;
        let by = by.lock().unwrap().expect("a thread");
        assert_ne!(by, std::thread::current().id());
    }

    #[tokio::test]
    async fn a_task_that_panics_is_over() {
        let tasks = Tasks::on(Handle::current());
        tasks.spawn(Box::pin(async { panic!("on purpose") }));
        assert!(tasks.stop(Duration::from_secs(60)).await);
    }
}
