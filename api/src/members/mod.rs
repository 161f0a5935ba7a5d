//! People of an organisation or project: memberships, invitations, joining, leaving, handing over.
