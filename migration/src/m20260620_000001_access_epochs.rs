//! Each organisation has an access epoch, which advances with every row that decides who may do what where. Triggers do
//! it, so that no writer can forget it, not even somebody at the database's own prompt.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, TABLE).await?;
        match manager.get_database_backend() {
            DbBackend::Postgres => ddl::run(manager, POSTGRES).await,
            _ => ddl::run(manager, SQLITE).await,
        }
    }
}

const TABLE: &[&str] = &[
    "CREATE TABLE access_epochs (
        org_id {uuid} PRIMARY KEY REFERENCES orgs (id) ON DELETE CASCADE,
        epoch BIGINT NOT NULL
    )",
    "INSERT INTO access_epochs (org_id, epoch) SELECT id, 0 FROM orgs",
];

/// At the end of the transaction, when it waits for no other row any more: so nobody waits for an epoch and holds one.
const POSTGRES: &[&str] = &[
    "CREATE FUNCTION begin_access_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO access_epochs (org_id, epoch) VALUES (NEW.id, 0);
        RETURN NULL;
    END $$",
    "CREATE TRIGGER orgs_begin_epoch AFTER INSERT ON orgs FOR EACH ROW EXECUTE FUNCTION begin_access_epoch()",
    "CREATE FUNCTION advance_access_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = OLD.org_id;
        END IF;
        IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.org_id IS DISTINCT FROM OLD.org_id) THEN
            UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = NEW.org_id;
        END IF;
        RETURN NULL;
    END $$",
    "CREATE FUNCTION advance_access_epoch_of_org() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = NEW.id;
        RETURN NULL;
    END $$",
    "CREATE FUNCTION advance_access_epoch_of_environment() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE access_epochs SET epoch = epoch + 1
        WHERE org_id = (SELECT p.org_id FROM projects p WHERE p.id = COALESCE(NEW.project_id, OLD.project_id));
        RETURN NULL;
    END $$",
    "CREATE CONSTRAINT TRIGGER orgs_epoch AFTER UPDATE OF slug, require_mfa, deleted_at ON orgs
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access_epoch_of_org()",
    "CREATE CONSTRAINT TRIGGER projects_epoch AFTER UPDATE OF org_id, slug, deleted_at OR DELETE ON projects
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access_epoch()",
    "CREATE CONSTRAINT TRIGGER environments_epoch
        AFTER UPDATE OF project_id, slug, class, deleted_at OR DELETE ON environments
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access_epoch_of_environment()",
    "CREATE CONSTRAINT TRIGGER memberships_epoch AFTER INSERT OR UPDATE OR DELETE ON memberships
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access_epoch()",
    "CREATE CONSTRAINT TRIGGER roles_epoch AFTER INSERT OR UPDATE OR DELETE ON roles
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access_epoch()",
    "CREATE CONSTRAINT TRIGGER acl_rules_epoch AFTER INSERT OR UPDATE OR DELETE ON acl_rules
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access_epoch()",
];

/// SQLite has one writer, so there is nobody to wait for.
const SQLITE: &[&str] = &[
    "CREATE TRIGGER orgs_begin_epoch AFTER INSERT ON orgs BEGIN
        INSERT INTO access_epochs (org_id, epoch) VALUES (NEW.id, 0);
    END",
    "CREATE TRIGGER orgs_epoch AFTER UPDATE OF slug, require_mfa, deleted_at ON orgs BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = NEW.id;
    END",
    "CREATE TRIGGER projects_epoch AFTER UPDATE OF org_id, slug, deleted_at ON projects BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id IN (OLD.org_id, NEW.org_id);
    END",
    "CREATE TRIGGER projects_gone_epoch AFTER DELETE ON projects BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = OLD.org_id;
    END",
    "CREATE TRIGGER environments_epoch AFTER UPDATE OF project_id, slug, class, deleted_at ON environments BEGIN
        UPDATE access_epochs SET epoch = epoch + 1
        WHERE org_id = (SELECT p.org_id FROM projects p WHERE p.id = NEW.project_id);
    END",
    "CREATE TRIGGER environments_gone_epoch AFTER DELETE ON environments BEGIN
        UPDATE access_epochs SET epoch = epoch + 1
        WHERE org_id = (SELECT p.org_id FROM projects p WHERE p.id = OLD.project_id);
    END",
    "CREATE TRIGGER memberships_new_epoch AFTER INSERT ON memberships BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = NEW.org_id;
    END",
    "CREATE TRIGGER memberships_epoch AFTER UPDATE ON memberships BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id IN (OLD.org_id, NEW.org_id);
    END",
    "CREATE TRIGGER memberships_gone_epoch AFTER DELETE ON memberships BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = OLD.org_id;
    END",
    "CREATE TRIGGER roles_new_epoch AFTER INSERT ON roles BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = NEW.org_id;
    END",
    "CREATE TRIGGER roles_epoch AFTER UPDATE ON roles BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id IN (OLD.org_id, NEW.org_id);
    END",
    "CREATE TRIGGER roles_gone_epoch AFTER DELETE ON roles BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = OLD.org_id;
    END",
    "CREATE TRIGGER acl_rules_new_epoch AFTER INSERT ON acl_rules BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = NEW.org_id;
    END",
    "CREATE TRIGGER acl_rules_epoch AFTER UPDATE ON acl_rules BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id IN (OLD.org_id, NEW.org_id);
    END",
    "CREATE TRIGGER acl_rules_gone_epoch AFTER DELETE ON acl_rules BEGIN
        UPDATE access_epochs SET epoch = epoch + 1 WHERE org_id = OLD.org_id;
    END",
];
