//! What the workspace and the published document promise.

mod layers;
