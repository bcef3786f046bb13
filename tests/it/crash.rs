//! The server is killed again and again under load: what was acknowledged is there, once, in order.
//!
//! `SKEP_TEST_KILLS` says how often (15 if it does not), `SKEP_TEST_SEED` from which seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ledger::{Kept, Ledger, client};
use crate::support::random::Random;
use crate::support::{TestServer, eventually, number_from};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let kills = number_from("SKEP_TEST_KILLS", 15);
    let (mut random, seed) = Random::seeded();
    let mut server = TestServer::start().await;
    let mut user = server.log_in().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut of_all = Ledger::default();
    for kill in 0..kills {
        let clients: Vec<_> = (0..6)
            .map(|n| tokio::spawn(client(user.clone(), format!("{kill}-{n}"), ledger.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + random.below(300))).await;
        let stopped = server.kill().await;
        for client in clients {
            client.await.unwrap();
        }
        server = stopped.start().await;
        user = user.at(&server);
        let mut of_this_life = std::mem::take(&mut *ledger.lock().unwrap());
        let when = format!("seed {seed}, after kill {kill}");
        of_this_life.is_kept(&user, &when).await;
        of_this_life.settles(&user, &when).await;
        of_all.add(of_this_life);
    }
    let when = format!("seed {seed}, in the end");
    of_all.is_kept(&user, &when).await;
    let acknowledged: usize = of_all.messages.values().map(Vec::len).sum();
    let expected = usize::try_from(kills).unwrap() * 5;
    assert!(
        acknowledged > expected,
        "only {acknowledged} messages were acknowledged"
    );
    println!(
        "{kills} kills: {acknowledged} messages and {} other things were acknowledged and are there",
        of_all.kept.len()
    );
    server.stop().await;
}

/// Nothing of a kill is left lying about: no half uploads, no temporary files of the journal.
#[tokio::test]
async fn a_kill_leaves_no_litter() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let writing = tokio::spawn(client(user.clone(), "client".to_owned(), ledger.clone()));
    let seen = ledger.clone();
    eventually("some uploads", crate::support::PATIENCE, || {
        let seen = seen.lock().unwrap();
        let is_upload = |kept: &&Kept| matches!(kept, Kept::Upload { .. });
        (seen.kept.iter().filter(is_upload).count() > 2).then_some(())
    })
    .await;
    let stopped = server.kill().await;
    writing.await.unwrap();
    let server = stopped.start().await;
    let user = user.at(&server);
    let mut ledger = std::mem::take(&mut *ledger.lock().unwrap());
    ledger.settles(&user, "after the kill").await;
    let data = server.stop().await.data;
    for folder in ["journal", "snapshots", "keys"] {
        let Ok(entries) = std::fs::read_dir(data.join(folder)) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(!name.ends_with(".tmp"), "{folder}/{name}");
        }
    }
}
