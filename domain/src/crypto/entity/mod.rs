//! Tables of the key store.

pub mod data_key {
    use sea_orm::entity::prelude::*;

    use crate::kernel::Timestamp;
    use crate::kernel::id::KeyId;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "data_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: KeyId,
        pub scope_id: Uuid,
        pub purpose: String,
        pub generation: i32,
        /// `active`, `retiring` or `destroyed`.
        pub state: String,
        pub root_key_id: String,
        /// Empty once it is destroyed.
        pub wrapped: Vec<u8>,
        pub created_at: Timestamp,
        pub seals: i64,
        pub failed: i64,
        pub emptied_at: Option<Timestamp>,
        pub destroyed_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod root_key {
    use sea_orm::entity::prelude::*;

    use crate::kernel::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "root_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub check_value: Vec<u8>,
        pub created_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
