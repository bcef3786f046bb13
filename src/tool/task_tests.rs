//! Tasks as agents plan them, and as they are started.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::hive::Hive;
use super::{Authority, ToolError, staffing, tasks};

/// An agent in a loop leaves room for the tasks of others, which the user may always make.
#[tokio::test]
async fn an_agent_plans_so_many_tasks_and_no_more() {
    use crate::model::limits::TASKS_OF_AGENT_MAX;
    let mut hive = Hive::open();
    let made = json!({ "name": "Ada" });
    hive.call(&staffing::CREATE, made).await.unwrap();
    let ada = {
        let found = hive
            .cx
            .shared
            .store
            .read(|tx| crate::store::workers::find_by_name(tx, "Ada"));
        found.unwrap()
    };
    hive.cx.authority = Authority::Agent;
    let task = json!({ "instruction": "again", "cron_expr": "0 0 1 1 *" });
    for worker in [None, ada] {
        hive.cx.worker_id = worker;
        for _ in 0..TASKS_OF_AGENT_MAX {
            hive.call(&tasks::CREATE, task.clone()).await.unwrap();
        }
        let refused = hive.call(&tasks::CREATE, task.clone()).await;
        assert!(matches!(refused, Err(ToolError::Denied(_))), "{refused:?}");
    }
    hive.cx.authority = Authority::Account;
    hive.call(&tasks::CREATE, task).await.unwrap();
}

/// Whoever finds the same due time a second time is refused.
#[tokio::test]
async fn a_due_time_is_claimed_once() {
    use crate::command::RunTask;
    use crate::journal::SubmitError;
    use crate::model::Ids;
    let hive = Hive::open();
    let task = json!({ "instruction": "again", "cron_expr": "0 0 1 1 *" });
    let made = hive.call(&tasks::CREATE, task).await.unwrap();
    let run = || RunTask {
        id: made.data["id"].as_str().unwrap().parse().unwrap(),
        due: made.data["next_run_at"].as_u64(),
        next_run_at: Some(u64::MAX),
        execution_id: Ids.next(),
        message_id: Ids.next(),
        reply_id: Ids.next(),
        at: 1,
    };
    let journal = &hive.cx.shared.journal;
    let claimed = journal.submit(run()).await.unwrap();
    assert_eq!(claimed.next_run_at, Some(u64::MAX));
    let again = journal.submit(run()).await;
    assert!(matches!(again, Err(SubmitError::Refused(_))), "{again:?}");
}
