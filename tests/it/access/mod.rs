//! Who may do what, over HTTP.

mod audit;
mod csrf;
mod foreign;
mod lists;
mod matrix;
mod public;
mod recall;
mod revocation;
mod second_factor;
mod together;

use std::collections::BTreeMap;

use harness::matrix::{Kept, Place, Principal, State, World, principals};
use harness::operations::{Doer, Endpoint, Gate, Operation, endpoints};
use harness::{Answer, Client, TestApp};
use serde_json::Value;

/// A world with a copy of itself to go back to.
pub struct Stage {
    pub app: TestApp,
    pub world: World,
    principals: Vec<Principal>,
    endpoints: BTreeMap<String, Endpoint>,
    kept: Kept,
}

impl Stage {
    pub async fn new(app: TestApp) -> Self {
        let world = World::build(&app).await;
        let principals = principals::all(&app, &world).await;
        let kept = Kept::of(&app).await;
        Self {
            endpoints: endpoints(app.document()),
            app,
            world,
            principals,
            kept,
        }
    }

    fn endpoint(&self, operation: &Operation) -> &Endpoint {
        &self.endpoints[operation.id]
    }

    /// The path of an operation at a place.
    fn path(&self, operation: &Operation, place: &Place) -> String {
        let mut names = place.side.names(&place.env);
        match operation.id {
            "restore_project" => names.insert("project", place.side.deleted.clone()),
            // One that the member holds beside another.
            "remove_member_role" => names.insert("role", "viewer".to_owned()),
            "remove_realm_user_role" => names.insert("role", "app-editor".to_owned()),
            _ => None,
        };
        // Slugs of projects are each organisation's own.
        if operation.gate == Gate::Superuser {
            names.insert("project", place.side.project_id.to_string());
            // And people of a realm, too, are an organisation's own.
            names.insert("user", place.side.member.clone());
        }
        format!("{}{}", self.endpoint(operation).path(&names), operation.query)
    }

    /// Somebody who succeeds with an operation.
    pub fn doer(&self, operation: &Operation) -> &Client {
        let world = &self.world;
        let doer = match operation.doer {
            Doer::Owner => &world.owner,
            Doer::Outsider => &world.outsider,
            Doer::Invitee => &world.invitee,
            Doer::Superuser => &world.superuser,
        };
        doer.client()
    }

    /// A valid body.
    fn body(&self, operation: &Operation, place: &Place) -> Option<Value> {
        operation.body.map(|body| body(&self.world, place))
    }

    /// Calls an operation as it wants to be called.
    pub async fn call(&self, client: &Client, operation: &Operation, place: &Place) -> Answer {
        let method = self.endpoint(operation).method.clone();
        client
            .send(method, &self.path(operation, place), self.body(operation, place))
            .await
    }

    /// Brings the world to where the operation can be called.
    async fn set(&self, operation: &Operation) {
        if let Some(sql) = operation.prepare {
            self.app.sql(sql).await;
        }
    }

    /// Back to the beginning.
    pub async fn reset(&self, operation: &Operation) {
        self.kept.restore(&self.app).await;
        self.set(operation).await;
    }

    async fn state(&self) -> State {
        self.kept.state(&self.app).await
    }
}
