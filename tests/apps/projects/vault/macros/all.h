#define NAME "vault"
