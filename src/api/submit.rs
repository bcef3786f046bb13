//! Changes under the conditions of the request that asks for them, and the answers to requests that are repeated.
//!
//! A handler hands its change to [`submit`] and makes its answer of the outcome with a function; a route that takes
//! idempotency keys names that same function, wrapped by [`again`], so that a repeated request gets the same answer.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::app::App;
use crate::command::conditional::{Conditional, Conditions, Once, Quota, Resource, kept_outcome};
use crate::command::{Command, Submit};
use crate::config::Tier;
use crate::http::idempotency::{Kept, replayed};
use crate::http::{ApiError, ErrorCode, Request, Response};
use crate::store::idempotency;

/// Makes a change: at most once if the request brings an idempotency key, and within what the tier allows of the
/// resource that its route makes.
pub(super) async fn submit<C: Submit>(
    app: &App,
    req: &Request,
    change: C,
) -> Result<C::Outcome, ApiError> {
    let once = once(app, req);
    submit_if(app, once, req.policy().makes, change).await
}

/// Like [`submit`], where only the handler can tell what is made.
pub(super) async fn submit_making<C: Submit>(
    app: &App,
    req: &Request,
    makes: Option<&str>,
    change: C,
) -> Result<C::Outcome, ApiError> {
    let once = once(app, req);
    submit_if(app, once, makes, change).await
}

/// Like [`submit`], where only the handler can tell what was asked for.
pub(super) async fn submit_as<C: Submit>(
    app: &App,
    req: &Request,
    fingerprint: [u8; 32],
    change: C,
) -> Result<C::Outcome, ApiError> {
    let once = req.once().map(|once| Once {
        key: once.key,
        fingerprint,
        at: app.now(),
    });
    submit_if(app, once, req.policy().makes, change).await
}

fn once(app: &App, req: &Request) -> Option<Once> {
    let once = req.once()?;
    Some(Once {
        key: once.key,
        fingerprint: once.fingerprint?,
        at: app.now(),
    })
}

async fn submit_if<C: Submit>(
    app: &App,
    once: Option<Once>,
    makes: Option<&str>,
    change: C,
) -> Result<C::Outcome, ApiError> {
    let quota = makes.and_then(|made| quota(&app.config.tier, made));
    if once.is_none() && quota.is_none() {
        return Ok(app.journal.submit(change).await?);
    }
    let conditions = Conditions { once, quota };
    let change: Command = change.into();
    let done = app
        .journal
        .submit(Conditional::new(conditions, &change)?)
        .await?;
    C::outcome(*done.0).ok_or_else(|| ApiError::internal("another change's outcome"))
}

/// What the tier allows of a resource; `None` is any number.
fn quota(tier: &Tier, made: &str) -> Option<Quota> {
    let limit = *tier.limits.get(made)?;
    let resource = Resource::ALL
        .into_iter()
        .find(|known| known.as_str() == made)?;
    Some(Quota {
        tier: tier.name.clone(),
        resource,
        limit,
    })
}

/// All that the tier limits.
pub fn quotas(tier: &Tier) -> Vec<Quota> {
    let limited = tier.limits.keys();
    limited.filter_map(|made| quota(tier, made)).collect()
}

/// 402: as many as the tier allows are there.
pub(super) fn over_quota(quota: &Quota, current: u64) -> ApiError {
    let resource = quota.resource.as_str();
    let message = format!(
        "Your tier doesn't allow more than {} {resource}",
        quota.limit
    );
    ApiError::new(ErrorCode::TierLimit, message).details(json!({
        "tier": quota.tier,
        "resource": resource,
        "limit": quota.limit,
        "current": current,
    }))
}

/// How a route answers a repeated request: as its handler did, from the outcome that was kept.
pub(super) fn again<C: Submit>(
    answer: fn(&App, C::Outcome) -> Result<Response, ApiError>,
) -> impl Fn(&App, &[u8]) -> Result<Response, ApiError> + Send + Sync + 'static
where
    C::Outcome: DeserializeOwned,
{
    move |app, kept| answer(app, kept_outcome::<C>(kept)?)
}

/// What is kept under a request's key.
pub(super) fn kept(app: &App, key: &[u8; 32]) -> Result<Option<Kept>, ApiError> {
    let now = app.now();
    let found = app.store.read(|tx| idempotency::get(tx, key, now))?;
    Ok(found.map(|kept| Kept {
        fingerprint: kept.fingerprint,
        outcome: kept.outcome,
    }))
}

/// The answer to a repeated request whose body only its handler understands.
pub(super) fn repeated<C: Submit>(
    app: &Arc<App>,
    req: &Request,
    fingerprint: &[u8; 32],
    answer: fn(&App, C::Outcome) -> Result<Response, ApiError>,
) -> Result<Option<Response>, ApiError>
where
    C::Outcome: DeserializeOwned,
{
    let Some(once) = req.once() else {
        return Ok(None);
    };
    let Some(kept) = kept(app, &once.key)? else {
        return Ok(None);
    };
    once.check(&kept, fingerprint)?;
    let outcome = kept_outcome::<C>(&kept.outcome)?;
    answer(app, outcome).map(|answer| Some(replayed(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What settings call limited is what a change is judged by.
    #[test]
    fn every_resource_of_a_tier_is_known_where_it_is_counted() {
        assert_eq!(Resource::ALL.map(Resource::as_str), Tier::RESOURCES);
    }
}
