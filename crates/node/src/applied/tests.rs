use super::*;

#[tokio::test]
async fn waiting_ends_when_the_version_is_there() {
    let (announce, applied) = watch::channel(Version(1));
    assert!(wait_until_applied(&applied, Version(1), Duration::ZERO).await);
    let waiting = tokio::spawn(async move {
        wait_until_applied(&applied, Version(3), Duration::from_secs(60)).await
    });
    announce.send_replace(Version(2));
    announce.send_replace(Version(4));
    assert!(waiting.await.expect("it ends"));
}

#[tokio::test]
async fn waiting_ends_when_nobody_will_announce_it() {
    let (announce, applied) = watch::channel(Version(1));
    drop(announce);
    assert!(!wait_until_applied(&applied, Version(2), Duration::from_secs(60)).await);
    let (_announce, applied) = watch::channel(Version(1));
    assert!(!wait_until_applied(&applied, Version(2), Duration::ZERO).await);
}
