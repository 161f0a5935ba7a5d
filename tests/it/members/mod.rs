//! Members, invitations, joining, leaving and handing over.
