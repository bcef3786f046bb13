//! What executions cost and came to: sums that were made as they ended.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::require;
use super::page::{self, PageQuery};
use super::workers::given;
use crate::app::App;
use crate::http::{ApiError, Request, Response};
use crate::model::tally::{Tally, day_of, start_of};
use crate::model::{Millis, WorkerId};
use crate::store::usage::{self, Days};
use crate::store::{Cursor, StoreError, Tx, executions, messages, sessions, tasks, workers};

/// The last day that a time may be on: year 9999.
const DAY_MAX: u64 = 2_932_896;

/// What usage is told by.
#[derive(Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "UsageBy", rename_all = "snake_case")]
#[allow(dead_code, reason = "the schema names all of them")]
pub(super) enum By {
    /// Days (UTC), the last first.
    Day,
    /// Workers, the newest first; the bee last.
    Worker,
    /// Engines and their models, by name.
    Model,
}

impl std::str::FromStr for By {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "day" => Ok(Self::Day),
            "worker" => Ok(Self::Worker),
            "model" => Ok(Self::Model),
            _ => Err("must be day, worker or model".to_owned()),
        }
    }
}

/// What executions that have ended came to; it stays when they are removed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageSum")]
pub(super) struct SumView {
    executions: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    input_tokens: u64,
    output_tokens: u64,
    /// US dollars, as far as the engines say it.
    cost_usd: f64,
    /// How long they ran, milliseconds.
    run_ms: u64,
}

impl From<Tally> for SumView {
    fn from(tally: Tally) -> Self {
        Self {
            executions: tally.executions(),
            completed: tally.completed,
            failed: tally.failed,
            cancelled: tally.cancelled,
            input_tokens: tally.input_tokens,
            output_tokens: tally.output_tokens,
            cost_usd: tally.cost_usd(),
            run_ms: tally.run_ms,
        }
    }
}

/// One day, one worker, or one engine with one model: the fields of the others are `null`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageRow")]
pub(super) struct UsageView {
    /// The day (UTC).
    #[schemars(example = &"2026-11-22")]
    day: Option<String>,
    /// The worker; the bee has none. It may be deleted.
    worker_id: Option<WorkerId>,
    /// The worker's name when it ran last; `bee` is the bee.
    worker_name: Option<String>,
    /// The engine; `null` by model where there were too many to tell apart.
    engine: Option<String>,
    /// The model; `null` where nobody said it.
    model: Option<String>,
    #[serde(flatten)]
    sum: SumView,
}

impl From<Tally> for UsageView {
    fn from(tally: Tally) -> Self {
        Self {
            day: None,
            worker_id: None,
            worker_name: None,
            engine: None,
            model: None,
            sum: tally.into(),
        }
    }
}

fn date(day: u64) -> Option<String> {
    let at = i64::try_from(start_of(day)).ok()?;
    let at = Timestamp::from_millisecond(at).ok()?;
    Some(at.strftime("%Y-%m-%d").to_string())
}

/// `GET /api/usage` -- executions, tokens and cost, by day, by worker or by model.
///
/// Days are those of UTC, on which executions ended; `since` and `until` mean the whole days that they are in. What
/// executions came to is still told when they are removed.
pub async fn list_usage(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let by = req.query::<By>("by")?.unwrap_or(By::Day);
    let since = req.query::<Millis>("since")?;
    let until = req.query::<Millis>("until")?;
    let worker = req.query::<WorkerId>("worker_id")?;
    let PageQuery { limit, cursor } = PageQuery::of(&req)?;
    if by != By::Day && worker.is_some() {
        return Err(ApiError::bad_request("worker_id: only with by=day"));
    }
    let is_bounded = since.is_some() || until.is_some();
    if by == By::Model && is_bounded {
        return Err(ApiError::bad_request(
            "since, until: not with by=model, which tells of all time",
        ));
    }
    let first = since.map_or(0, day_of).min(DAY_MAX);
    let last = until.map_or(DAY_MAX, |until| {
        day_of(until.saturating_sub(1)).min(DAY_MAX)
    });
    let days: Days = first..=last;
    let (rows, next) = app.store.read(|tx| match by {
        By::Day => by_day(tx, worker, &days, cursor, limit),
        By::Worker => by_worker(tx, is_bounded.then_some(&days), cursor, limit),
        By::Model => by_model(tx, cursor, limit),
    })?;
    Ok(page::answer(&req, &rows, next))
}

type Rows = (Vec<UsageView>, Option<Cursor>);

fn by_day(
    tx: &impl Tx,
    worker: Option<WorkerId>,
    days: &Days,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Rows, StoreError> {
    let page = usage::list_days(tx, worker.map(Some), days, cursor, limit)?;
    let rows = page.rows.into_iter().map(|(day, tally)| UsageView {
        day: date(day),
        worker_id: worker,
        ..tally.into()
    });
    Ok((rows.collect(), page.next))
}

fn by_worker(
    tx: &impl Tx,
    days: Option<&Days>,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Rows, StoreError> {
    let page = usage::list_workers(tx, days, cursor, limit)?;
    let rows = page.rows.into_iter().map(|(worker_id, of)| UsageView {
        worker_id,
        worker_name: Some(of.name),
        ..of.tally.into()
    });
    Ok((rows.collect(), page.next))
}

/// There are never more than a page has room for, so a place among them is cursor enough.
fn by_model(tx: &impl Tx, cursor: Option<Cursor>, limit: usize) -> Result<Rows, StoreError> {
    let models = usage::list_models(tx)?;
    let start = cursor.map_or(0, |cursor| {
        usize::try_from(cursor.major).unwrap_or(usize::MAX)
    });
    let next = start.saturating_add(limit);
    let next = (next < models.len()).then_some(Cursor {
        major: next as u64,
        minor: 0,
    });
    let rows = models.into_iter().skip(start).take(limit);
    let rows = rows.map(|of| UsageView {
        engine: given(of.engine),
        model: given(of.model),
        ..of.tally.into()
    });
    Ok((rows.collect(), next))
}

/// What there is, and what was done.
#[derive(Serialize, JsonSchema)]
pub(super) struct Overview {
    workers: u64,
    /// Chats.
    sessions: u64,
    messages: u64,
    tasks: u64,
    /// Executions that are there.
    executions: u64,
    /// Those that wait.
    pending: u64,
    /// Those that run.
    running: u64,
    usage: Periods,
}

/// What executions came to; days are those of UTC.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Periods {
    today: SumView,
    /// With today.
    last_7_days: SumView,
    /// With today.
    last_30_days: SumView,
    all: SumView,
}

/// `GET /api/stats/overview` -- how much there is of everything, and what was done today and before.
pub async fn get_overview(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let today = day_of(app.now());
    let overview = app.store.read(|tx| {
        let last = |days: u64| usage::sum(tx, (today + 1).saturating_sub(days)..=today);
        Ok::<_, StoreError>(Overview {
            workers: workers::count(tx)?,
            sessions: sessions::count(tx)?,
            messages: messages::count(tx)?,
            tasks: tasks::count(tx)?,
            executions: executions::count(tx)?,
            pending: executions::queue_length(tx)?,
            running: executions::count_running(tx)?,
            usage: Periods {
                today: last(1)?.into(),
                last_7_days: last(7)?.into(),
                last_30_days: last(30)?.into(),
                all: usage::sum(tx, 0..=DAY_MAX)?.into(),
            },
        })
    })?;
    Ok(Response::ok(&overview))
}
