//! Prices at Stripe and the plans that they are of, told by their lookup keys: `team_monthly_v1`. A price whose lookup key
//! moved on to another keeps its plan: whoever bought it goes on paying it.

use std::collections::HashMap;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::entity::price;
use super::gateway::{BillingGateway, Listed, Price};
use super::sync::SyncError;
use crate::kernel::config::Plan;
use crate::kernel::{Db, Reads, Result, WriteTx};

/// Pages of prices that are looked at: an account of Stripe's may sell other things too.
const MOST_PAGES: usize = 20;

/// How often is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Monthly,
    Yearly,
}

impl Interval {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Monthly, Self::Yearly]
            .into_iter()
            .find(|interval| interval.as_str() == text)
    }
}

/// What a lookup key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sells {
    pub plan: Plan,
    pub interval: Interval,
    pub version: i64,
}

impl Sells {
    /// Reads `{plan}_{monthly|yearly}_v{n}`; `None` for a price that is not of ours.
    pub fn read(lookup_key: &str) -> Option<Self> {
        let (rest, version) = lookup_key.rsplit_once("_v")?;
        let (plan, interval) = rest.rsplit_once('_')?;
        let is_digit = |byte: u8| byte.is_ascii_digit();
        if version.is_empty() || !version.bytes().all(is_digit) {
            return None;
        }
        Some(Self {
            plan: Plan::parse(plan)?,
            interval: Interval::parse(interval)?,
            version: version.parse().ok()?,
        })
    }
}

/// A price that can be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub price_id: String,
    pub per_seat: bool,
    pub trial_days: Option<u32>,
}

/// The newest price of a plan that can be bought.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn offer(from: &impl Reads, plan: Plan, interval: Interval) -> Result<Option<Offer>> {
    let rows = price::Entity::find()
        .filter(price::Column::Plan.eq(plan.as_str()))
        .filter(price::Column::BillingInterval.eq(interval.as_str()))
        .filter(price::Column::Active.eq(true))
        .all(from.conn())
        .await?;
    let newest = rows.into_iter().max_by_key(|row| row.version);
    Ok(newest.map(|row| Offer {
        price_id: row.price_id,
        per_seat: row.per_seat,
        trial_days: row.trial_days.and_then(|days| u32::try_from(days).ok()),
    }))
}

/// The plans of prices by their ids, those that are no longer sold included.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn plans_of(from: &impl Reads, prices: Vec<String>) -> Result<HashMap<String, Plan>> {
    if prices.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = price::Entity::find()
        .filter(price::Column::PriceId.is_in(prices))
        .all(from.conn())
        .await?;
    let known = |row: price::Model| Some((row.price_id, Plan::parse(&row.plan)?));
    Ok(rows.into_iter().filter_map(known).collect())
}

/// Keeps a price that is of one of our plans. One whose lookup key is gone stays as it was, but is not sold any more.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn keep(tx: &WriteTx, found: &Price) -> Result<()> {
    let Price {
        id,
        lookup_key,
        active,
        per_seat,
        trial_days,
    } = found;
    let Some((lookup_key, sells)) = lookup_key.as_deref().and_then(|key| Some((key, Sells::read(key)?))) else {
        let sql = "UPDATE plan_prices SET active = $2, updated_at = $3 WHERE price_id = $1";
        let values = [id.as_str().into(), false.into(), tx.now().into()];
        tx.conn().execute_raw(tx.sql(sql, values)).await?;
        return Ok(());
    };
    let Sells {
        plan,
        interval,
        version,
    } = sells;
    let row = price::ActiveModel {
        price_id: Set(id.clone()),
        lookup_key: Set(lookup_key.to_owned()),
        plan: Set(plan.as_str().to_owned()),
        billing_interval: Set(interval.as_str().to_owned()),
        version: Set(version),
        per_seat: Set(*per_seat),
        trial_days: Set(trial_days.and_then(|days| i32::try_from(days).ok())),
        active: Set(*active),
        updated_at: Set(tx.now()),
    };
    let renewed = OnConflict::column(price::Column::PriceId)
        .update_columns([
            price::Column::LookupKey,
            price::Column::Plan,
            price::Column::BillingInterval,
            price::Column::Version,
            price::Column::PerSeat,
            price::Column::TrialDays,
            price::Column::Active,
            price::Column::UpdatedAt,
        ])
        .to_owned();
    price::Entity::insert(row)
        .on_conflict(renewed)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// Learns the prices anew.
///
/// # Errors
/// Stripe's, and [`crate::kernel::Error::Db`]; what was learned until then stays.
pub async fn refresh(db: &Db, gateway: &dyn BillingGateway) -> Result<(), SyncError> {
    let mut after: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let Listed { data, has_more } = gateway.prices(after.as_deref()).await?;
        let tx = db.begin_write().await?;
        for price in &data {
            keep(&tx, price).await?;
        }
        tx.commit_bookkeeping().await?;
        after = data.last().map(|price| price.id.clone());
        if !has_more || after.is_none() {
            return Ok(());
        }
    }
    tracing::warn!("Stripe has more prices than are looked at");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_key_tells_plan_interval_and_version() {
        let sells = |key: &str| Sells::read(key).map(|sells| (sells.plan, sells.interval, sells.version));
        assert_eq!(sells("team_monthly_v1"), Some((Plan::Team, Interval::Monthly, 1)));
        assert_eq!(
            sells("business_yearly_v12"),
            Some((Plan::Business, Interval::Yearly, 12))
        );
        for key in [
            "",
            "team",
            "team_monthly",
            "team_monthly_v",
            "team_monthly_vx",
            "team_weekly_v1",
            "_monthly_v1",
            "Team_monthly_v1",
            "team_monthly_v+1",
            "team monthly_v1",
            "enterprise_monthly_v1",
        ] {
            assert_eq!(sells(key), None, "{key}");
        }
    }
}
