/** Which service answers which operation: the whole table, so that one look shows what is there. */
import { admissionOperations } from '@kvasir/api/resources/admission.ts';
import { balanceOperations } from '@kvasir/api/resources/balance.ts';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { auditOperations, eventOperations } from '@kvasir/api/resources/event.ts';
import { fenceDeviceOperations, hostPowerOperations } from '@kvasir/api/resources/fence-device.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { leaseSettingsOperations } from '@kvasir/api/resources/lease-settings.ts';
import { hostStandbyOperations } from '@kvasir/api/resources/host-standby.ts';
import { powerSavingOperations } from '@kvasir/api/resources/power-saving.ts';
import { hostMaintenanceOperations } from '@kvasir/api/resources/host-maintenance.ts';
import { imageOperations } from '@kvasir/api/resources/image.ts';
import { floatingAddressOperations } from '@kvasir/api/resources/floating-address.ts';
import { mirrorOperations } from '@kvasir/api/resources/mirror.ts';
import { traceOperations } from '@kvasir/api/resources/network-trace.ts';
import { portOperations } from '@kvasir/api/resources/port.ts';
import { qosPolicyOperations } from '@kvasir/api/resources/qos-policy.ts';
import { routerOperations } from '@kvasir/api/resources/router.ts';
import { switchOperations } from '@kvasir/api/resources/switch.ts';
import { uplinkOperations } from '@kvasir/api/resources/uplink.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { organizationOperations } from '@kvasir/api/resources/organization.ts';
import { poolOperations } from '@kvasir/api/resources/pool.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { apiTokenOperations, sessionOperations } from '@kvasir/api/resources/session.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import { userOperations } from '@kvasir/api/resources/user.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import { showAdmission } from '../services/admission.ts';
import * as audit from '../services/audit.ts';
import * as powerSaving from '../services/power-saving.ts';
import * as balance from '../services/balance.ts';
import * as cluster from '../services/clusters.ts';
import { watchEvents } from '../services/event-watch.ts';
import * as event from '../services/events.ts';
import * as fenceDevice from '../services/fence-devices.ts';
import * as hostPower from '../services/host-power.ts';
import * as ha from '../services/ha.ts';
import { drillHost, explainVm } from '../services/ha-rehearsal.ts';
import { confirmHostOff } from '../services/host-confirm-off.ts';
import * as hostStandby from '../services/host-standby.ts';
import * as hostMaintenance from '../services/host-maintenance.ts';
import * as host from '../services/hosts.ts';
import * as image from '../services/images.ts';
import * as lease from '../services/lease-settings.ts';
import * as floatingAddress from '../services/floating-addresses.ts';
import * as mirror from '../services/mirrors.ts';
import { traceNetwork } from '../services/network-trace.ts';
import * as network from '../services/networks.ts';
import * as port from '../services/ports.ts';
import * as subPort from '../services/sub-ports.ts';
import * as qosPolicy from '../services/qos-policies.ts';
import * as router from '../services/routers.ts';
import * as networkSwitch from '../services/switches.ts';
import * as uplink from '../services/uplinks.ts';
import * as organization from '../services/organizations.ts';
import * as pool from '../services/pools.ts';
import * as project from '../services/projects.ts';
import * as securityGroup from '../services/security-groups.ts';
import * as session from '../services/sessions.ts';
import * as task from '../services/tasks.ts';
import * as user from '../services/users.ts';
import * as vmConsole from '../services/vm-console.ts';
import { createVm } from '../services/vm-create.ts';
import { deleteVm, restoreVm } from '../services/vm-delete.ts';
import * as vmDevice from '../services/vm-devices.ts';
import { migrateVm } from '../services/vm-migrate.ts';
import * as vmPower from '../services/vm-power.ts';
import { resizeVm } from '../services/vm-resize.ts';
import { startVm } from '../services/vm-start.ts';
import * as vm from '../services/vms.ts';
import * as volume from '../services/volumes.ts';
import { changing, type Handler, leading, opening, reading } from './handler.ts';

export const handlers: readonly Handler[] = [
  opening(sessionOperations.create, session.logIn),
  reading(sessionOperations.current, session.whoAmI),
  changing(sessionOperations.delete, session.logOut),
  opening(sessionOperations.changePassword, session.changePassword),
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
  reading(organizationOperations.members, organization.listOrganizationMembers),
  changing(organizationOperations.setMember, organization.setOrganizationMember),
  changing(organizationOperations.removeMember, organization.removeOrganizationMember),

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

  reading(admissionOperations.showAdmission, showAdmission),
  reading(balanceOperations.showBalance, balance.showBalance),
  changing(balanceOperations.updateBalance, balance.updateBalance),
  changing(balanceOperations.applyBalance, balance.applyBalance),
  reading(powerSavingOperations.showPowerSaving, powerSaving.showPowerSaving),
  changing(powerSavingOperations.updatePowerSaving, powerSaving.updatePowerSaving),
  changing(powerSavingOperations.applyPowerSaving, powerSaving.applyPowerSaving),

  reading(hostOperations.list, host.listHosts),
  reading(hostOperations.get, host.getHost),
  changing(hostOperations.update, host.updateHost),
  leading(changing(hostOperations.confirmOff, confirmHostOff)),
  opening(hostOperations.delete, host.deleteHost),
  reading(hostOperations.domains, host.listHostDomains),
  opening(hostOperations.createJoinToken, host.createJoinToken),

  changing(hostMaintenanceOperations.enterMaintenance, hostMaintenance.enterMaintenance),
  reading(hostMaintenanceOperations.showMaintenance, hostMaintenance.showMaintenance),
  changing(hostMaintenanceOperations.exitMaintenance, hostMaintenance.exitMaintenance),
  changing(hostStandbyOperations.standby, hostStandby.sendToStandby),
  changing(hostStandbyOperations.wake, hostStandby.wakeHost),
  opening(hostPowerOperations.show, hostPower.showHostPower),
  opening(hostPowerOperations.on, hostPower.switchHostOn),
  opening(hostPowerOperations.off, hostPower.switchHostOff),
  reading(fenceDeviceOperations.list, fenceDevice.listFenceDevices),
  reading(fenceDeviceOperations.get, fenceDevice.getFenceDevice),
  changing(fenceDeviceOperations.create, fenceDevice.createFenceDevice),
  changing(fenceDeviceOperations.update, fenceDevice.updateFenceDevice),
  changing(fenceDeviceOperations.delete, fenceDevice.deleteFenceDevice),
  opening(fenceDeviceOperations.test, fenceDevice.testFenceDevice),
  reading(leaseSettingsOperations.get, lease.getLeaseSettings),
  opening(leaseSettingsOperations.update, lease.updateLeaseSettings),

  reading(haOperations.list, ha.listIncidents),
  reading(haOperations.get, ha.getIncident),
  leading(reading(haOperations.explain, explainVm)),
  leading(reading(haOperations.drill, drillHost)),

  reading(poolOperations.list, pool.listPools),
  reading(poolOperations.get, pool.getPool),
  opening(poolOperations.create, pool.createPool),
  changing(poolOperations.update, pool.updatePool),
  opening(poolOperations.delete, pool.deletePool),

  reading(imageOperations.list, image.listImages),
  reading(imageOperations.get, image.getImage),
  changing(imageOperations.import, image.importImage),
  leading(opening(imageOperations.upload, image.announceUpload)),
  changing(imageOperations.update, image.updateImage),
  changing(imageOperations.delete, image.deleteImage),

  reading(volumeOperations.list, volume.listVolumes),
  reading(volumeOperations.get, volume.getVolume),
  changing(volumeOperations.create, volume.createVolume),
  changing(volumeOperations.update, volume.updateVolume),
  changing(volumeOperations.resize, volume.resizeVolume),
  changing(volumeOperations.delete, volume.deleteVolume),

  reading(networkOperations.list, network.listNetworks),
  reading(networkOperations.get, network.getNetwork),
  opening(networkOperations.create, network.createNetwork),
  opening(networkOperations.update, network.updateNetwork),
  opening(networkOperations.delete, network.deleteNetwork),

  reading(switchOperations.list, networkSwitch.listSwitches),
  reading(switchOperations.get, networkSwitch.getSwitch),
  opening(switchOperations.create, networkSwitch.createSwitch),
  opening(switchOperations.update, networkSwitch.updateSwitch),
  opening(switchOperations.delete, networkSwitch.deleteSwitch),

  reading(uplinkOperations.list, uplink.listUplinks),
  reading(uplinkOperations.get, uplink.getUplink),
  opening(uplinkOperations.create, uplink.createUplink),
  opening(uplinkOperations.update, uplink.updateUplink),
  opening(uplinkOperations.delete, uplink.deleteUplink),

  leading(opening(traceOperations.trace, traceNetwork)),
  reading(portOperations.list, port.listPorts),
  reading(portOperations.get, port.getPort),
  opening(portOperations.update, port.updatePort),
  opening(portOperations.addSubPort, subPort.addSubPort),
  opening(portOperations.removeSubPort, subPort.removeSubPort),
  leading(opening(portOperations.counters, port.portCounters)),

  reading(qosPolicyOperations.list, qosPolicy.listQosPolicies),
  reading(qosPolicyOperations.get, qosPolicy.getQosPolicy),
  opening(qosPolicyOperations.create, qosPolicy.createQosPolicy),
  opening(qosPolicyOperations.update, qosPolicy.updateQosPolicy),
  opening(qosPolicyOperations.delete, qosPolicy.deleteQosPolicy),

  reading(mirrorOperations.list, mirror.listMirrors),
  reading(mirrorOperations.get, mirror.getMirror),
  opening(mirrorOperations.create, mirror.createMirror),
  opening(mirrorOperations.update, mirror.updateMirror),
  opening(mirrorOperations.delete, mirror.deleteMirror),

  reading(routerOperations.list, router.listRouters),
  reading(routerOperations.get, router.getRouter),
  opening(routerOperations.create, router.createRouter),
  opening(routerOperations.update, router.updateRouter),
  opening(routerOperations.delete, router.deleteRouter),
  opening(routerOperations.addInterface, router.addInterface),
  opening(routerOperations.removeInterface, router.removeInterface),

  reading(floatingAddressOperations.list, floatingAddress.listFloatingAddresses),
  reading(floatingAddressOperations.get, floatingAddress.getFloatingAddress),
  opening(floatingAddressOperations.create, floatingAddress.createFloatingAddress),
  opening(floatingAddressOperations.update, floatingAddress.updateFloatingAddress),
  opening(floatingAddressOperations.delete, floatingAddress.deleteFloatingAddress),

  reading(securityGroupOperations.list, securityGroup.listSecurityGroups),
  reading(securityGroupOperations.get, securityGroup.getSecurityGroup),
  opening(securityGroupOperations.create, securityGroup.createSecurityGroup),
  opening(securityGroupOperations.update, securityGroup.updateSecurityGroup),
  opening(securityGroupOperations.delete, securityGroup.deleteSecurityGroup),
  opening(securityGroupOperations.addRule, securityGroup.addRule),
  opening(securityGroupOperations.removeRule, securityGroup.removeRule),

  reading(vmOperations.list, vm.listVms),
  reading(vmOperations.get, vm.getVm),
  changing(vmOperations.create, createVm),
  changing(vmOperations.update, vm.updateVm),
  changing(vmOperations.resize, resizeVm),
  changing(vmOperations.delete, deleteVm),
  changing(vmOperations.restore, restoreVm),
  changing(vmOperations.start, startVm),
  changing(vmOperations.stop, vmPower.stopVm),
  changing(vmOperations.reset, vmPower.resetVm),
  changing(vmOperations.pause, vmPower.pauseVm),
  changing(vmOperations.resume, vmPower.resumeVm),
  changing(vmOperations.suspend, vmPower.suspendVm),
  changing(vmOperations.migrate, migrateVm),
  changing(vmOperations.attachDisk, vmDevice.attachDisk),
  changing(vmOperations.detachDisk, vmDevice.detachDisk),
  changing(vmOperations.attachNic, vmDevice.attachNic),
  changing(vmOperations.detachNic, vmDevice.detachNic),
  leading(opening(vmOperations.screenshot, vmConsole.screenshot)),
  leading(changing(vmOperations.openConsole, vmConsole.openConsole)),
  reading(vmOperations.console, vmConsole.consoleWithoutUpgrade),

  reading(taskOperations.list, task.listTasks),
  reading(taskOperations.get, task.getTask),
  changing(taskOperations.cancel, task.cancelTask),
  changing(taskOperations.retry, task.retryTask),

  reading(eventOperations.list, event.listEvents),
  opening(eventOperations.watch, watchEvents),
  reading(auditOperations.list, audit.listAudit),
];
