use std::cell::Cell;
use std::rc::Rc;

use super::*;

/// A connection that knows its number and whether it is alive.
#[derive(Debug, Clone)]
struct Fake(u32, Rc<Cell<bool>>);

impl Reusable for Fake {
    fn is_reusable(&mut self) -> bool {
        self.1.get()
    }
}

fn fake(number: u32) -> Fake {
    Fake(number, Rc::new(Cell::new(true)))
}

fn target(port: u16) -> Target {
    Target::plain(([127, 0, 0, 1], port).into())
}

fn pool(size: usize) -> Pool<Fake> {
    Pool::new(PoolSettings {
        size,
        max_requests: None,
        idle_timeout: Some(Duration::from_secs(60)),
    })
}

#[test]
fn the_newest_connection_comes_back_first() {
    let (pool, now) = (pool(10), Instant::now());
    for number in 1..=3 {
        pool.put(&target(1), Pooled::new(fake(number)), now);
    }
    let numbers: Vec<u32> = std::iter::from_fn(|| pool.take(&target(1), now))
        .map(|taken| taken.connection.0)
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert!(pool.is_empty());
}

#[test]
fn targets_do_not_share_connections() {
    let (pool, now) = (pool(10), Instant::now());
    pool.put(&target(1), Pooled::new(fake(1)), now);
    assert!(pool.take(&target(2), now).is_none());
    assert!(pool.take(&target(1), now).is_some());
}

#[test]
fn a_full_pool_drops_its_oldest_connection() {
    let (pool, now) = (pool(2), Instant::now());
    for number in 1..=3 {
        pool.put(&target(1), Pooled::new(fake(number)), now);
    }
    assert_eq!(pool.len(), 2);
    pool.take(&target(1), now);
    assert_eq!(pool.take(&target(1), now).unwrap().connection.0, 2);
}

#[test]
fn a_pool_of_size_zero_keeps_nothing() {
    let (pool, now) = (pool(0), Instant::now());
    pool.put(&target(1), Pooled::new(fake(1)), now);
    assert!(pool.is_empty());
}

#[test]
fn a_connection_is_closed_after_its_last_request() {
    let now = Instant::now();
    let pool = Pool::new(PoolSettings {
        size: 2,
        max_requests: Some(2),
        idle_timeout: None,
    });
    pool.put(&target(1), Pooled::new(fake(1)), now);
    let taken = pool.take(&target(1), now).unwrap();
    assert_eq!(taken.requests, 1);
    pool.put(&target(1), taken, now);
    assert!(pool.is_empty());
}

#[test]
fn dead_connections_are_skipped() {
    let (pool, now) = (pool(10), Instant::now());
    let dead = fake(2);
    pool.put(&target(1), Pooled::new(fake(1)), now);
    pool.put(&target(1), Pooled::new(dead.clone()), now);
    dead.1.set(false);
    assert_eq!(pool.take(&target(1), now).unwrap().connection.0, 1);
    assert!(pool.is_empty());
}

#[test]
fn connections_that_are_idle_for_too_long_are_not_reused_and_are_swept() {
    let (pool, now) = (pool(10), Instant::now());
    pool.put(&target(1), Pooled::new(fake(1)), now);
    pool.put(
        &target(2),
        Pooled::new(fake(2)),
        now + Duration::from_secs(30),
    );
    let later = now + Duration::from_secs(60);
    assert!(pool.take(&target(1), later).is_none());
    pool.put(&target(1), Pooled::new(fake(1)), now);
    pool.sweep(later);
    assert_eq!(pool.len(), 1);
    pool.set_settings(PoolSettings {
        size: 10,
        max_requests: None,
        idle_timeout: Some(Duration::from_secs(1)),
    });
    pool.sweep(later);
    assert!(pool.is_empty());
}

#[test]
fn the_sweep_drops_what_the_peer_has_closed() {
    let (pool, now) = (pool(10), Instant::now());
    let dead = fake(1);
    pool.put(&target(1), Pooled::new(dead.clone()), now);
    pool.put(&target(2), Pooled::new(fake(2)), now);
    dead.1.set(false);
    pool.sweep(now);
    assert_eq!(pool.len(), 1);
    pool.clear();
    assert!(pool.is_empty());
}
