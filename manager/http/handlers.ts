/** Which service answers which operation: the whole table, so that one look shows what is there. */
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { organizationOperations } from '@kvasir/api/resources/organization.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { apiTokenOperations, sessionOperations } from '@kvasir/api/resources/session.ts';
import { userOperations } from '@kvasir/api/resources/user.ts';
import * as cluster from '../services/clusters.ts';
import * as organization from '../services/organizations.ts';
import * as project from '../services/projects.ts';
import * as session from '../services/sessions.ts';
import * as user from '../services/users.ts';
import { changing, type Handler, opening, reading } from './handler.ts';

export const handlers: readonly Handler[] = [
  opening(sessionOperations.create, session.logIn),
  reading(sessionOperations.current, session.whoAmI),
  changing(sessionOperations.delete, session.logOut),
  reading(apiTokenOperations.list, session.listApiTokens),
  changing(apiTokenOperations.create, session.createApiToken),
  changing(apiTokenOperations.delete, session.revokeApiToken),

  reading(userOperations.list, user.listUsers),
  reading(userOperations.get, user.getUser),
  opening(userOperations.create, user.createUser),
  opening(userOperations.update, user.updateUser),
  changing(userOperations.delete, user.deleteUser),

  reading(organizationOperations.list, organization.listOrganizations),
  reading(organizationOperations.get, organization.getOrganization),
  changing(organizationOperations.create, organization.createOrganization),
  changing(organizationOperations.update, organization.updateOrganization),
  changing(organizationOperations.delete, organization.deleteOrganization),

  reading(projectOperations.list, project.listProjects),
  reading(projectOperations.get, project.getProject),
  changing(projectOperations.create, project.createProject),
  changing(projectOperations.update, project.updateProject),
  changing(projectOperations.delete, project.deleteProject),
  reading(projectOperations.members, project.listProjectMembers),
  changing(projectOperations.setMember, project.setProjectMember),
  changing(projectOperations.removeMember, project.removeProjectMember),

  reading(clusterOperations.list, cluster.listClusters),
  reading(clusterOperations.get, cluster.getCluster),
  changing(clusterOperations.create, cluster.createCluster),
  changing(clusterOperations.update, cluster.updateCluster),
  changing(clusterOperations.delete, cluster.deleteCluster),
];
