use std::sync::atomic::AtomicBool;

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

/// A guard before a server that answers its probe if `well`, and how often it was probed.
fn guarded(well: &Arc<AtomicBool>) -> (Guard, Arc<AtomicUsize>) {
    let probes = Arc::new(AtomicUsize::new(0));
    let (well, count) = (well.clone(), probes.clone());
    let probe: Probe = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let answer = if well.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("still away".to_owned())
        };
        Box::pin(std::future::ready(answer))
    });
    let guard = Guard::new("a server".to_owned(), Handle::current(), probe);
    (guard, probes)
}

#[tokio::test(start_paused = true)]
async fn only_the_first_who_ask_wait_for_a_server_that_hangs() {
    let well = Arc::new(AtomicBool::new(false));
    let (guard, probes) = guarded(&well);
    let hangs = guard.ask::<()>(LIMIT, std::future::pending());
    assert_eq!(hangs.await, Err("timeout".to_owned()));
    for _ in 0..100 {
        let mut asked = guard.ask(LIMIT, async { Ok(1) });
        let answer = std::future::poll_fn(|context| match asked.as_mut().poll(context) {
            std::task::Poll::Pending => panic!("nobody waits any more"),
            ready => ready,
        });
        let reason = "a server is out of reach: timeout".to_owned();
        assert_eq!(answer.await, Err(reason));
    }
    while probes.load(Ordering::SeqCst) < 5 {
        tokio::time::advance(PAUSE.1).await;
        tokio::task::yield_now().await;
    }
    assert!(guard.ask(LIMIT, async { Ok(1) }).await.is_err());
    well.store(true, Ordering::SeqCst);
    while guard.ask(LIMIT, async { Ok(1) }).await.is_err() {
        tokio::time::advance(PAUSE.1).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_added_to_a_full_queue() {
    let well = Arc::new(AtomicBool::new(true));
    let (guard, _) = guarded(&well);
    let (release, held) = tokio::sync::watch::channel(false);
    let waiting: Vec<_> = (0..MOST_WAITING)
        .map(|_| {
            let mut held = held.clone();
            let work = async move { held.wait_for(|free| *free).await.map(|_| ()) };
            guard.ask(LIMIT, async {
                work.await.map_err(|error| error.to_string())
            })
        })
        .collect();
    let one_more = guard.ask(LIMIT, async { Ok(()) }).await;
    assert_eq!(one_more, Err("too many wait for a server".to_owned()));
    release.send_replace(true);
    for one in waiting {
        assert_eq!(one.await, Ok(()));
    }
    assert_eq!(guard.ask(LIMIT, async { Ok(()) }).await, Ok(()));
}
